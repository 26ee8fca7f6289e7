//! Large immutable bytes, such as media.

use async_trait::async_trait;
use bytes::Bytes;

use super::EngineError;

/// Facts about an object without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Size in bytes.
    pub bytes: u64,
}

/// An object, or the part of it that was asked for.
#[derive(Debug, Clone)]
pub struct Object {
    /// Size of the whole object in bytes.
    pub bytes_total: u64,
    /// The bytes read.
    pub data: Bytes,
}

/// Immutable objects by key.
///
/// Keys are 1 to 200 bytes of `a-z 0-9 - _ / .`, without empty, `.` or `..` segments. An object is visible as a whole
/// or not at all.
#[async_trait]
pub trait Objects: Send + Sync + 'static {
    /// Stores an object of at most [`OBJECT_BYTES_MAX`](crate::limits::OBJECT_BYTES_MAX) and returns when it is
    /// durable. Putting the same key again replaces it as a whole.
    async fn put(&self, key: &str, data: Bytes) -> Result<(), EngineError>;

    /// The bytes from `range.0` up to but without `range.1` (clamped to the end; maybe none), or all; `None` when there
    /// is no such object.
    async fn get(&self, key: &str, range: Option<(u64, u64)>) -> Result<Option<Object>, EngineError>;

    /// Size, or `None` when there is no such object.
    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>, EngineError>;

    /// Removes an object; one that is not there is no error.
    async fn delete(&self, key: &str) -> Result<(), EngineError>;
}
