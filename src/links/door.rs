//! Links at the door: the redirects that are known at once, before any route is looked for.

use super::http::redirect;
use super::service::{Asked, Links};
use crate::http::{Door, DoorAnswer, Knock};

/// Route that the door stands for.
const ROUTE: &str = "/s/{code}";

impl Door for Links {
    fn open(&self, knock: &Knock<'_>) -> Option<DoorAnswer> {
        let code = knock.path.strip_prefix("/s/")?;
        let asked = Asked { code, headers: knock.headers, client: knock.client, is_head: knock.is_head };
        let link = self.follow_now(&asked)?;
        Some(DoorAnswer { response: redirect(&link), route: ROUTE })
    }
}
