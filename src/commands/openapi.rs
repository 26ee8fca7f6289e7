//! `fanfare openapi`: the description of the API, for generators that run without a server.

use std::io::{self, Write as _};

use super::Failure;
use crate::{http, routes};

pub(super) fn run() -> Result<(), Failure> {
    let document = http::routes::document(routes::api());
    let text = document.to_pretty_json().map_err(|error| Failure::Failed(error.to_string()))?;
    match writeln!(io::stdout(), "{text}") {
        // Who pipes into `head` has read enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
