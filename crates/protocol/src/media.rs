//! Uploaded images and files.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Id, Timestamp};

/// Whether the media can be shown as a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    /// JPEG, PNG, GIF or WebP, decoded and measured.
    Image,
    /// Anything else; served as a download.
    File,
}

/// Uploaded file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Media {
    /// The upload.
    pub id: Id,
    /// Address that it is served under. That of an upload for messages is signed, and good until `expires_at`.
    #[schema(examples("/media/2118412345678905344/original"))]
    pub url: String,
    /// Picture or file.
    pub kind: MediaKind,
    /// Found from the bytes, not from what the client said.
    #[schema(examples("image/jpeg"))]
    pub content_type: String,
    /// Size as served.
    #[schema(examples(48213))]
    pub bytes: u64,
    /// Pixels, for images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels, for images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// A small picture, for images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail_url: Option<String>,
    /// Alternative text: what the picture shows, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alt: Option<String>,
    /// A sentence for the uploader, where there is something to say: a file of a type whose metadata cannot be removed
    /// is stored as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// Moment from which the addresses of an upload for messages are good no more: whoever sees the message reads it
    /// again for fresh ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}
