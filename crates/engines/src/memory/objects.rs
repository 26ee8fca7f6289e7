//! Objects in a map.

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::RwLock;

use crate::limits::{check_object, check_object_key};
use crate::ports::{EngineError, Object, ObjectMeta, Objects};

/// Objects that live as long as the process.
#[derive(Debug, Default)]
pub(crate) struct MemoryObjects {
    objects: RwLock<HashMap<String, Bytes>>,
}

#[async_trait]
impl Objects for MemoryObjects {
    async fn put(&self, key: &str, data: Bytes) -> Result<(), EngineError> {
        check_object_key(key)?;
        check_object(&data)?;
        self.objects.write().insert(key.to_owned(), data);
        Ok(())
    }

    async fn get(&self, key: &str, range: Option<(u64, u64)>) -> Result<Option<Object>, EngineError> {
        check_object_key(key)?;
        let Some(whole) = self.objects.read().get(key).cloned() else { return Ok(None) };
        let bytes_total = whole.len() as u64;
        let (from, to) = range.unwrap_or((0, bytes_total));
        let to = to.min(bytes_total);
        let from = from.min(to);
        // Both are at most the length of a slice, so they fit.
        let data = whole.slice(usize::try_from(from).unwrap_or(usize::MAX)..usize::try_from(to).unwrap_or(usize::MAX));
        Ok(Some(Object { bytes_total, data }))
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>, EngineError> {
        check_object_key(key)?;
        Ok(self.objects.read().get(key).map(|data| ObjectMeta { bytes: data.len() as u64 }))
    }

    async fn delete(&self, key: &str) -> Result<(), EngineError> {
        check_object_key(key)?;
        self.objects.write().remove(key);
        Ok(())
    }
}
