//! The page at `/`: where things are, and in the demo a feed that one can watch. Three small files inside of the binary;
//! they load nothing from anywhere else.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Router, middleware, routing};

/// The page loads its own two files, calls this server, and shows its media; nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

const PAGE: &str = include_str!("welcome/index.html");
const SCRIPT: &str = include_str!("welcome/page.js");
const STYLE: &str = include_str!("welcome/style.css");

/// `/` and its two files.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let file = |content_type: &'static str, text: &'static str| {
        routing::get(
            move || async move { (StatusCode::OK, [(header::CONTENT_TYPE, content_type)], text).into_response() },
        )
    };
    Router::new()
        .route("/", file("text/html; charset=utf-8", PAGE))
        .route("/welcome.js", file("text/javascript; charset=utf-8", SCRIPT))
        .route("/welcome.css", file("text/css; charset=utf-8", STYLE))
        .layer(middleware::map_response(with_headers))
}

async fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // Another version of the binary has another page.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that a first visit loads.
    const PAGE_BYTES_MAX: usize = 15_000;

    #[test]
    fn the_page_is_small_and_loads_nothing_from_elsewhere() {
        let whole = [PAGE, SCRIPT, STYLE].concat();
        assert!(whole.len() < PAGE_BYTES_MAX, "{} bytes", whole.len());
        assert!(!whole.contains("http://") && !whole.contains("https://") && !whole.contains("innerHTML"));
        // The policy refuses what stands inline.
        assert!(!PAGE.contains("<style") && !PAGE.contains("style=") && !PAGE.contains("onclick"));
    }
}
