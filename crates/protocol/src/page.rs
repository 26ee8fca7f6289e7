//! Page of a list that is read by cursor.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A page. It is shorter than the asked `limit` only when it is the last one.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items, in the order the call documents.
    pub items: Vec<T>,
    /// Cursor of the next page; `null` on the last one. Opaque and URL-safe.
    pub next_cursor: Option<String>,
}
