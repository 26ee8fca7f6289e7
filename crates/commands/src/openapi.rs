//! `fanfare openapi`: the description of the API, for generators that run without a server.

use fanfare::base::output::say;
use fanfare::{http, routes};

use super::Failure;

pub(super) fn run() -> Result<(), Failure> {
    let document = http::routes::document(routes::api());
    let text = document.to_pretty_json().map_err(|error| Failure::Failed(error.to_string()))?;
    say(text)?;
    Ok(())
}
