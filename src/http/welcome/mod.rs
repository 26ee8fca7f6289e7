//! The page at `/`: where things are; in the demo, two people whose doings reach each other. Small files inside of the
//! binary; they load nothing from anywhere else.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Router, middleware, routing};

/// The page loads its own files, calls this server, and shows its media; nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file of the page: where it is, its type, its text.
type File = (&'static str, &'static str, &'static str);

macro_rules! file {
    ($name:literal, $content_type:expr) => {
        (concat!("/welcome/", $name), $content_type, include_str!($name))
    };
}

/// Page of a server at `/`, and the one of the demo.
const START: File = ("/", HTML, include_str!("start.html"));
const DEMO: File = ("/", HTML, include_str!("demo.html"));

/// Files that both pages load.
const FILES: [File; 13] = [
    file!("base.css", CSS),
    file!("demo.css", CSS),
    file!("start.js", SCRIPT),
    file!("demo.js", SCRIPT),
    file!("api.js", SCRIPT),
    file!("cards.js", SCRIPT),
    file!("engine.js", SCRIPT),
    file!("ladder.js", SCRIPT),
    file!("links.js", SCRIPT),
    file!("network.js", SCRIPT),
    file!("person.js", SCRIPT),
    file!("session.js", SCRIPT),
    file!("talk.js", SCRIPT),
];

/// `/` and its files.
pub(super) fn router<S: Clone + Send + Sync + 'static>(demo: bool) -> Router<S> {
    let page = if demo { DEMO } else { START };
    let router = [page].into_iter().chain(FILES).fold(Router::new(), |router, (path, content_type, text)| {
        let answer =
            move || async move { (StatusCode::OK, [(header::CONTENT_TYPE, content_type)], text).into_response() };
        router.route(path, routing::get(answer))
    });
    router.layer(middleware::map_response(with_headers))
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
    const PAGE_BYTES_MAX: usize = 88_000;
    /// Lines of one file.
    const LINES_MAX: usize = 500;

    #[test]
    fn the_pages_are_small_and_load_nothing_from_elsewhere() {
        let files = || [START, DEMO].into_iter().chain(FILES);
        let bytes: usize = files().map(|(_, _, text)| text.len()).sum();
        assert!(bytes < PAGE_BYTES_MAX, "{bytes} bytes");
        for (path, content_type, text) in files() {
            assert!(text.lines().count() < LINES_MAX, "{path}");
            assert!(!text.contains("http://") && !text.contains("https://"), "{path}");
            assert!(!text.contains("innerHTML") && !text.contains("eval("), "{path}");
            // The policy refuses what stands inline.
            let inline = ["<style", "style=", "onclick", "<script>"].iter().any(|inline| text.contains(inline));
            assert!(content_type != HTML || !inline, "{path}");
        }
    }

    #[test]
    fn what_the_pages_name_is_there() {
        let known = |path: &str| FILES.iter().any(|(known, _, _)| *known == path);
        for (path, _, text) in [START, DEMO].into_iter().chain(FILES) {
            let imports = text.split("from \"./").skip(1).map(|rest| format!("/welcome/{}", until_quote(rest)));
            let loads = text.split("=\"/welcome/").skip(1).map(|rest| format!("/welcome/{}", until_quote(rest)));
            for named in imports.chain(loads) {
                assert!(known(&named), "{path} names {named}");
            }
        }
    }

    fn until_quote(text: &str) -> &str {
        text.split('"').next().unwrap_or_default()
    }
}
