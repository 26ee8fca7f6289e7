//! Short links.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::Timestamp;

/// Status with which a link answers: whether browsers ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RedirectKind {
    /// 302: every visit asks, so that every visit is counted and changes hold at once.
    #[default]
    Found,
    /// 301: browsers remember it for an hour.
    Permanent,
}

impl RedirectKind {
    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Found => 302,
            Self::Permanent => 301,
        }
    }
}

impl Serialize for RedirectKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.status())
    }
}

impl<'de> Deserialize<'de> for RedirectKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u16::deserialize(deserializer)? {
            302 => Ok(Self::Found),
            301 => Ok(Self::Permanent),
            _ => Err(serde::de::Error::custom("must be 302 or 301")),
        }
    }
}

impl PartialSchema for RedirectKind {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .enum_values(Some([302, 301]))
            .description(Some("302 asks at each visit; 301 lets browsers remember it for an hour"))
            .examples([302])
            .into()
    }
}

impl ToSchema for RedirectKind {
    fn name() -> std::borrow::Cow<'static, str> {
        "RedirectKind".into()
    }
}

/// A short link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Link {
    /// Code: what stands at the end of `short_url`.
    #[schema(examples("3x5pu"))]
    pub code: String,
    /// Address to hand out.
    #[schema(examples("https://s.example.org/3x5pu"))]
    pub short_url: String,
    /// Target, as the server writes it: names in punycode, everything in ASCII.
    #[schema(examples("https://example.com/a/long/page"))]
    pub url: String,
    /// Status of the redirect.
    pub redirect: RedirectKind,
    /// Moment at which it was made.
    pub created_at: Timestamp,
    /// End of the link; `null`: never.
    pub expires_at: Option<Timestamp>,
    /// Visits after which it is used up; `null`: none.
    #[serde(default)]
    pub max_visits: Option<u32>,
    /// Whether it asks for a password.
    #[serde(default)]
    pub has_password: bool,
    /// Visits that were answered with the redirect, bots included.
    pub visits: u64,
}

/// `POST /v1/links`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLink {
    /// Target: `http` or `https`, at most 2,048 bytes.
    #[schema(max_length = 2048, examples("https://example.com/a/long/page"))]
    pub url: String,
    /// Code of one's own, 1 to 64 of `A-Z a-z 0-9 _ -`; without it the server gives a short one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$", examples("spring-sale"))]
    pub alias: Option<String>,
    /// End of the link; `null`: never; without it five years from now, or what the server says.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Timestamp>, examples("2030-01-31T00:00:00.000Z"))]
    pub expires_at: Option<Option<Timestamp>>,
    /// 302 when it is not named. 301 goes with no password, no visit limit and no `expires_at` of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<RedirectKind>,
    /// Visits after which it is used up, 1 to 100,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100_000, examples(100))]
    pub max_visits: Option<u32>,
    /// Password that visitors are asked for, 1 to 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128, examples("open sesame"))]
    pub password: Option<String>,
}

impl NewLink {
    /// A link to `url`, with what the server gives.
    #[must_use]
    pub fn to(url: &str) -> Self {
        let url = url.to_owned();
        Self { url, alias: None, expires_at: None, redirect: None, max_visits: None, password: None }
    }
}

/// `PATCH /v1/links/{code}`, a JSON merge patch: a field that is absent stays, one that is `null` is cleared. Code and
/// numbers stay.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchLink {
    /// New target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048, examples("https://example.com/another/page"))]
    pub url: Option<String>,
    /// New end; `null`: never.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Timestamp>)]
    pub expires_at: Option<Option<Timestamp>>,
    /// New status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<RedirectKind>,
    /// New limit, which counts the visits so far; `null`: none.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 100_000)]
    pub max_visits: Option<Option<u32>>,
    /// New password; `null`: none.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128)]
    pub password: Option<Option<String>>,
}

/// A link as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdminLink {
    /// The link.
    #[serde(flatten)]
    pub link: Link,
    /// Person who made it.
    pub owner: crate::Id,
    /// Whether the list of blocked hosts and codes names it.
    pub blocked: bool,
}

/// Tells `null` (clear) from absent (leave), as RFC 7396 wants.
fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

/// Says nothing of passwords.
impl std::fmt::Debug for NewLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewLink").field("url", &self.url).field("alias", &self.alias).finish_non_exhaustive()
    }
}

/// Says nothing of passwords.
impl std::fmt::Debug for PatchLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PatchLink").field("url", &self.url).finish_non_exhaustive()
    }
}
