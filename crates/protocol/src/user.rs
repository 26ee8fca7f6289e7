//! People: profiles, sessions, relationships.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Id, Timestamp};

/// Person as a post or a notification shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Author {
    /// The person.
    pub id: Id,
    /// Unique name, without `@`.
    #[schema(examples("ada"))]
    pub handle: String,
    /// Name to show; the handle when none was given.
    #[schema(examples("Ada Lovelace"))]
    pub display_name: String,
    /// Picture, if any.
    pub avatar_url: Option<String>,
}

/// A profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// The person.
    pub id: Id,
    /// Unique name, without `@`.
    #[schema(examples("ada"))]
    pub handle: String,
    /// Name to show; the handle when none was given.
    #[schema(examples("Ada Lovelace"))]
    pub display_name: String,
    /// A few words about the person.
    #[schema(examples("I compute."))]
    pub bio: String,
    /// Picture, if any.
    pub avatar_url: Option<String>,
    /// People who follow this one.
    pub followers_count: u64,
    /// People whom this one follows.
    pub following_count: u64,
    /// Posts, replies and reposts that are not deleted.
    pub posts_count: u64,
    /// Moment the account was made.
    pub created_at: Timestamp,
    /// Relationship of the caller to this person; absent without a token and for oneself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relationship: Option<Relationship>,
}

/// Relationship of the caller to another person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Relationship {
    /// The caller follows the person.
    pub following: bool,
    /// The person follows the caller.
    pub followed_by: bool,
    /// The caller blocks the person.
    pub blocking: bool,
    /// The caller mutes the person.
    pub muting: bool,
}

/// `POST /v1/users`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// 1 to 30 of `a-z A-Z 0-9 _`; unique without regard to case.
    #[schema(pattern = "^[A-Za-z0-9_]{1,30}$", examples("ada"))]
    pub handle: String,
    /// 8 to 128 characters.
    #[schema(min_length = 8, max_length = 128, examples("correct horse battery"))]
    pub password: String,
    /// Up to 50 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 50, examples("Ada Lovelace"))]
    pub display_name: Option<String>,
}

/// `POST /v1/sessions`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSession {
    /// The handle, with or without `@`.
    #[schema(examples("ada"))]
    pub handle: String,
    /// The password.
    #[schema(examples("correct horse battery"))]
    pub password: String,
}

/// `PUT /v1/users/me/password`. Ends every session but the caller's.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    /// The password as it is.
    #[schema(examples("correct horse battery"))]
    pub current_password: String,
    /// 8 to 128 characters.
    #[schema(min_length = 8, max_length = 128, examples("staple battery horse"))]
    pub new_password: String,
}

/// `PATCH /v1/users/me`, a JSON merge patch: a field that is absent stays, one that is `null` is cleared.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchUser {
    /// Up to 50 characters; `null` shows the handle.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 50, examples("Ada King"))]
    pub display_name: Option<Option<String>>,
    /// Up to 500 characters.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 500, examples("I compute."))]
    pub bio: Option<Option<String>>,
    /// An image the caller uploaded; `null` removes the picture.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Id>)]
    pub avatar_media_id: Option<Option<Id>>,
}

/// Tells `null` (clear) from absent (leave), as RFC 7396 wants.
pub(crate) fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

/// Reads a field of a merge patch whose cleared value is its default: `null` is that, and absent stays absent.
pub(crate) fn cleared<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(|value| Some(value.unwrap_or_default()))
}

/// Answer of registration and of login.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Person who is logged in.
    pub user: User,
    /// Bearer token; shown this once.
    #[schema(examples("ff_Zk3xV7pQm2"))]
    pub token: String,
}
