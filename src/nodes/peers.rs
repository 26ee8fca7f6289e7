//! Nodes of one process, as each other's peers.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use parking_lot::RwLock;
use tower::ServiceExt as _;

use crate::base::error::Error;
use crate::http::{Forwarding, no_way};

/// Routers of the nodes of this process, by name. Clones are the same.
#[derive(Clone, Default)]
pub struct LocalPeers(Arc<RwLock<HashMap<Arc<str>, Router>>>);

impl LocalPeers {
    /// The node `name` takes requests from now on.
    pub fn came(&self, name: &Arc<str>, router: Router) {
        self.0.write().insert(Arc::clone(name), router);
    }

    /// The node `name` takes none any more.
    pub fn went(&self, name: &str) {
        self.0.write().remove(name);
    }
}

#[async_trait]
impl Forwarding for LocalPeers {
    async fn forward(&self, node: &str, request: Request) -> Result<Response, Error> {
        let router = self.0.read().get(node).cloned().ok_or_else(no_way)?;
        match router.oneshot(request).await {
            Ok(response) => Ok(response),
            Err(never) => match never {},
        }
    }
}
