//! Links at the door: the redirects that are known at once, before any route is looked for.

use std::sync::Arc;

use async_trait::async_trait;

use super::alias::is_code;
use super::service::{Asked, AtOnce, Links};
use crate::http::{Door, DoorAnswer, Knock, Opened};

/// Route that the door stands for.
const ROUTE: &str = "/s/{code}";

fn code_in(path: &str) -> Option<&str> {
    path.strip_prefix("/s/").filter(|code| is_code(code))
}

#[async_trait]
impl Door for Links {
    fn open(&self, knock: &Knock<'_>) -> Opened {
        let Some(code) = code_in(knock.path) else { return Opened::Closed };
        let asked = Asked { code, headers: knock.headers, client: knock.client, is_head: knock.is_head };
        match self.follow_now(&asked) {
            AtOnce::On(link) => Opened::Answered(DoorAnswer { prepared: Arc::clone(&link.answer), route: ROUTE }),
            AtOnce::Unknown => Opened::Unknown,
            AtOnce::Later => Opened::Closed,
        }
    }

    async fn learn(&self, path: &str) {
        if let Some(code) = code_in(path) {
            // What goes wrong goes wrong again on the way through the router, which says so.
            let _ = self.hot().load(code).await;
        }
    }
}
