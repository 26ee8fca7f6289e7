//! Bounds of the body of each call: one table, which the description of the API shows and a test compares with the
//! routes.

use axum::extract::{MatchedPath, Request};
use axum::http::Method;

use crate::base::limits::http::{
    EVENT_BODY_BYTES_MAX, POST_BODY_BYTES_BESIDE, POST_BODY_CHAR_BYTES_MAX, SMALL_BODY_BYTES_MAX,
};
use crate::config::Settings;

/// Kinds of bodies, by what bounds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// A few fields.
    Small,
    /// A text of `posts.text_max` characters.
    Post,
    /// A text of `chat.text_max` characters.
    Message,
    /// Client frames of realtime delivery.
    Frames,
    /// An operator's event with its audience.
    Event,
    /// A file, which `media` bounds while it arrives.
    Upload,
}

/// Every call that takes a body.
pub(super) const BODIES: &[(Method, &str, Body)] = &[
    (Method::POST, "/v1/posts", Body::Post),
    (Method::POST, "/v1/realtime/send", Body::Frames),
    (Method::PUT, "/v1/feed/read", Body::Small),
    (Method::POST, "/v1/conversations", Body::Message),
    (Method::PATCH, "/v1/conversations/{id}", Body::Small),
    (Method::PUT, "/v1/conversations/{id}/personal", Body::Message),
    (Method::PATCH, "/v1/users/me/chat", Body::Small),
    (Method::PUT, "/v1/conversations/{id}/read", Body::Small),
    (Method::PUT, "/v1/conversations/{id}/delivered", Body::Small),
    (Method::PATCH, "/v1/conversations/{id}/members/{user}", Body::Small),
    (Method::POST, "/v1/conversations/{id}/messages", Body::Message),
    (Method::PATCH, "/v1/conversations/{id}/messages/{seq}", Body::Message),
    (Method::POST, "/v1/conversations/{id}/invites", Body::Small),
    (Method::POST, "/v1/live", Body::Small),
    (Method::PATCH, "/v1/live/{id}", Body::Small),
    (Method::POST, "/v1/live/{id}/end", Body::Small),
    (Method::POST, "/v1/links", Body::Small),
    (Method::PATCH, "/v1/links/{code}", Body::Small),
    (Method::POST, "/s/{code}", Body::Small),
    (Method::PUT, "/v1/notifications/read", Body::Small),
    (Method::POST, "/v1/sessions", Body::Small),
    (Method::POST, "/v1/users", Body::Small),
    (Method::PATCH, "/v1/users/me", Body::Small),
    (Method::PUT, "/v1/users/me/password", Body::Small),
    (Method::POST, "/v1/media", Body::Upload),
    (Method::POST, "/v1/reports", Body::Small),
    (Method::PUT, "/v1/admin/reports/{id}/resolution", Body::Small),
    (Method::POST, "/v1/admin/realtime/publish", Body::Event),
    (Method::PATCH, "/v1/admin/settings", Body::Small),
    (Method::PUT, "/v1/admin/users/{user}/role", Body::Small),
    (Method::PUT, "/v1/admin/users/{user}/suspension", Body::Small),
    (Method::PUT, "/v1/admin/users/{user}/password", Body::Small),
];

impl Body {
    /// Bound of a call's body.
    pub(super) fn of(method: &Method, route: &str) -> Option<Self> {
        let found = BODIES.iter().find(|(of, path, _)| *path == route && of == method);
        found.map(|(.., body)| *body)
    }

    /// Refusal of a body that is too large, in words.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Small => "the body is larger than 16 KiB",
            Self::Post => {
                "the body is larger than 16 KiB, and larger than 12 bytes for each character of `posts.text_max` and 4 KiB"
            }
            Self::Message => {
                "the body is larger than 16 KiB, and larger than 12 bytes for each character of `chat.text_max` and 4 KiB"
            }
            Self::Frames => "the body is larger than `realtime.message_bytes_max`",
            Self::Event => "the body is larger than 384 KiB",
            Self::Upload => "the file is larger than `media.file_bytes_max`",
        }
    }
}

/// Bytes of each kind, as the settings make them; `http.body_bytes_max` is above all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyBounds {
    small: u64,
    post: u64,
    message: u64,
    frames: u64,
    event: u64,
    most: u64,
}

impl BodyBounds {
    /// Bounds in a server's settings.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let most = settings.http.body_bytes_max;
        let text = |chars: usize| {
            let bytes = (chars as u64).saturating_mul(POST_BODY_CHAR_BYTES_MAX) + POST_BODY_BYTES_BESIDE;
            bytes.max(SMALL_BODY_BYTES_MAX).min(most)
        };
        Self {
            small: SMALL_BODY_BYTES_MAX.min(most),
            post: text(settings.posts.text_max),
            message: text(settings.chat.text_max),
            frames: (settings.realtime.message_bytes_max as u64).min(most),
            event: EVENT_BODY_BYTES_MAX.min(most),
            most,
        }
    }

    /// Bytes that the body of a request may have: those of its call, or `http.body_bytes_max` for one that is not
    /// listed.
    pub(super) fn bytes_max(&self, request: &Request) -> u64 {
        let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        match route.and_then(|route| Body::of(request.method(), route)) {
            Some(Body::Small) => self.small,
            Some(Body::Post) => self.post,
            Some(Body::Message) => self.message,
            Some(Body::Frames) => self.frames,
            Some(Body::Event) => self.event,
            Some(Body::Upload) | None => self.most,
        }
    }

    /// Bytes of the largest.
    pub(super) fn largest(&self) -> u64 {
        // What is not listed takes no body.
        self.small.max(self.post).max(self.message).max(self.frames).max(self.event)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::routes;

    #[test]
    fn every_call_that_takes_a_body_has_a_bound_and_the_document_says_it() {
        let document = serde_json::to_value(routes::document(crate::routes::api())).unwrap();
        let mut described = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                if operation.get("requestBody").is_none() {
                    continue;
                }
                let method: Method = method.to_uppercase().parse().unwrap();
                described.insert(format!("{method} {path}"));
                let body = Body::of(&method, path);
                let body = body.unwrap_or_else(|| panic!("{method} {path} has no bound: add it to BODIES"));
                let told = operation["responses"]["413"]["description"].as_str().unwrap_or_default();
                assert!(told.contains(body.words()), "{method} {path}: {told}");
            }
        }
        let listed: BTreeSet<String> = BODIES.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
        assert_eq!(listed, described, "BODIES lists calls that take no body");
    }

    #[test]
    fn the_words_are_those_of_the_numbers() {
        assert_eq!((SMALL_BODY_BYTES_MAX, EVENT_BODY_BYTES_MAX), (16 << 10, 384 << 10));
        assert_eq!((POST_BODY_CHAR_BYTES_MAX, POST_BODY_BYTES_BESIDE), (12, 4 << 10));
    }

    #[test]
    fn a_post_of_the_longest_text_fits_however_it_is_escaped() {
        let mut settings = Settings::default();
        for text_max in [1, 500, 2_000, 80_000] {
            settings.posts.text_max = text_max;
            let bounds = BodyBounds::of(&settings);
            let text = "\\ud83d\\ude00".repeat(text_max);
            let ids = "\"18446744073709551615\", ".repeat(4);
            let body =
                format!("{{\"text\": \"{text}\", \"media_ids\": [{ids}], \"reply_to\": {ids}, \"repost_of\": {ids}}}");
            assert!(body.len() as u64 <= bounds.post && bounds.post >= bounds.small, "{text_max}");
        }
    }
}
