//! Serving of stored media: headers that keep browsers from running them, conditional requests, ranges.
//!
//! Pure. The handler asks for a [`Plan`] and does what it says; nothing here reads the bytes.

use std::fmt::Write as _;
use std::ops::Range;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use fanfare_protocol::MediaKind;

use crate::base::limits::media::FILENAME_CHARS_MAX;
use crate::base::text::{fits_a_name, is_blank};

/// An id never gets other bytes, so caches may keep them for a year.
const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";
/// Whatever a browser takes the bytes for, it runs nothing and loads nothing more.
const CONTENT_SECURITY_POLICY: &str = "sandbox; default-src 'none'";

/// Stored file that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Representation<'a> {
    /// Content type as stored.
    pub content_type: &'a str,
    /// Images are shown, files are downloaded.
    pub kind: MediaKind,
    /// Filename that the uploader gave, cleaned by [`clean_filename`].
    pub filename: Option<&'a str>,
    /// Size of the whole.
    pub bytes_total: u64,
    /// Strong entity tag, with its quotes.
    pub etag: &'a str,
    /// Seconds for which its address is still good, of a private one: for so long its reader's own cache may keep it,
    /// and no other.
    pub private_for_s: Option<u64>,
}

/// Headers of a request that decide which part of a file is sent, if any.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conditions<'a> {
    /// `Range`.
    pub range: Option<&'a str>,
    /// `If-Range`.
    if_range: Option<&'a str>,
    /// `If-None-Match`.
    if_none_match: Option<&'a str>,
}

impl<'a> Conditions<'a> {
    /// Conditions in the headers of a request. A header that is not text counts as absent.
    #[must_use]
    pub fn of(headers: &'a HeaderMap) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            range: text(header::RANGE),
            if_range: text(header::IF_RANGE),
            if_none_match: text(header::IF_NONE_MATCH),
        }
    }
}

/// The answer but for its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// 200, 206, 304 or 416.
    pub status: StatusCode,
    /// All headers, `Content-Length` included.
    pub headers: HeaderMap,
    /// Bytes to send; `None` for no body.
    pub body: Option<Range<u64>>,
}

/// Decides the answer (RFC 9110, sections 13.2.2 and 14).
#[must_use]
pub fn plan(what: &Representation<'_>, asked: &Conditions<'_>) -> Plan {
    let mut headers = HeaderMap::new();
    set(&mut headers, header::ETAG, what.etag);
    match what.private_for_s {
        None => set(&mut headers, header::CACHE_CONTROL, CACHE_CONTROL),
        Some(rest_s) => set(&mut headers, header::CACHE_CONTROL, &format!("private, max-age={rest_s}, immutable")),
    }
    if asked.if_none_match.is_some_and(|tags| any_matches(tags, what.etag)) {
        return Plan { status: StatusCode::NOT_MODIFIED, headers, body: None };
    }
    set(&mut headers, header::ACCEPT_RANGES, "bytes");
    set(&mut headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(&mut headers, header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    set(&mut headers, HeaderName::from_static("cross-origin-resource-policy"), "cross-origin");
    let range = asked.range.filter(|_| asked.if_range.is_none_or(|tag| tag.trim() == what.etag));
    let (status, part) = match range.map_or(Ranged::Whole, |range| parse_range(range, what.bytes_total)) {
        Ranged::Whole => (StatusCode::OK, 0..what.bytes_total),
        Ranged::Part(part) => {
            let value = format!("bytes {}-{}/{}", part.start, part.end - 1, what.bytes_total);
            set(&mut headers, header::CONTENT_RANGE, &value);
            (StatusCode::PARTIAL_CONTENT, part)
        }
        Ranged::Unsatisfiable => {
            set(&mut headers, header::CONTENT_RANGE, &format!("bytes */{}", what.bytes_total));
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
            return Plan { status: StatusCode::RANGE_NOT_SATISFIABLE, headers, body: None };
        }
    };
    set(&mut headers, header::CONTENT_TYPE, what.content_type);
    set(&mut headers, header::CONTENT_DISPOSITION, &disposition(what));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
    Plan { status, headers, body: Some(part) }
}

/// Sets a header whose value is ours, or was cleaned; one that is no header value after all is left out.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Weak comparison, as `If-None-Match` asks for.
fn any_matches(tags: &str, etag: &str) -> bool {
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The name in `filename*` of a `Content-Disposition` (RFC 8187), which some clients send beside or in place of a plain
/// one; `None` when there is none, or it cannot be read.
#[must_use]
pub fn extended_filename(disposition: &str) -> Option<String> {
    let value =
        parameters(disposition).find_map(|(name, value)| name.eq_ignore_ascii_case("filename*").then_some(value))?;
    let (charset, rest) = value.trim_matches('"').split_once('\'')?;
    let (_language, encoded) = rest.split_once('\'')?;
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(encoded).collect();
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" => String::from_utf8(bytes).ok(),
        "iso-8859-1" => Some(bytes.into_iter().map(char::from).collect()),
        _ => None,
    }
}

/// The name in `filename`, which the multipart parser overlooks behind a `filename*`.
#[must_use]
pub fn plain_filename(disposition: &str) -> Option<String> {
    let value =
        parameters(disposition).find_map(|(name, value)| name.eq_ignore_ascii_case("filename").then_some(value))?;
    let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    Some(quoted.map_or_else(|| value.to_owned(), |inner| inner.replace("\\\"", "\"").replace("\\\\", "\\")))
}

/// Names and values of a header's parameters; what stands in quotes holds none.
fn parameters(header: &str) -> impl Iterator<Item = (&str, &str)> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = header.split(move |c: char| {
        let ends = c == ';' && !quoted;
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && quoted && !escaped;
        ends
    });
    parts.filter_map(|part| part.split_once('=')).map(|(name, value)| (name.trim(), value.trim()))
}

/// Meaning of a `Range` header for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ranged {
    /// No range, more than one, or one that cannot be read: a server may ignore those.
    Whole,
    /// Bytes from, and up to but without. Never empty.
    Part(Range<u64>),
    /// Wholly past the end.
    Unsatisfiable,
}

fn parse_range(header: &str, total: u64) -> Ranged {
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        // More digits than fit are just a position past every end.
        true => Some(text.parse::<u64>().unwrap_or(u64::MAX)),
        false => None,
    };
    let spec = header.trim().split_once('=').filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes"));
    let Some((first, last)) = spec.and_then(|(_, spec)| spec.trim().split_once('-')) else {
        return Ranged::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    match (number(first), number(last)) {
        (Some(from), Some(to)) if from > to => Ranged::Whole,
        (Some(from), _) if from >= total && (last.is_empty() || number(last).is_some()) => Ranged::Unsatisfiable,
        (Some(from), Some(to)) => Ranged::Part(from..to.saturating_add(1).min(total)),
        (Some(from), None) if last.is_empty() => Ranged::Part(from..total),
        (None, Some(0)) if first.is_empty() => Ranged::Unsatisfiable,
        (None, Some(_)) if first.is_empty() && total == 0 => Ranged::Unsatisfiable,
        (None, Some(count)) if first.is_empty() => Ranged::Part(total.saturating_sub(count)..total),
        _ => Ranged::Whole,
    }
}

/// `inline` for images, else `attachment`; the name twice, for old and new clients (RFC 6266).
fn disposition(what: &Representation<'_>) -> String {
    let how = if what.kind == MediaKind::Image { "inline" } else { "attachment" };
    let Some(name) = what.filename.and_then(clean_filename) else { return how.to_owned() };
    // A name that ends in `.html` on bytes that are a picture would be saved as something else than it is.
    let name = match extension_of(what.content_type).filter(|_| what.kind == MediaKind::Image) {
        Some(extension) => format!("{}.{extension}", name.rsplit_once('.').map_or(&*name, |(stem, _)| stem)),
        None => name,
    };
    let plain: String = name.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '_' }).collect();
    let plain = plain.replace(['"', '\\', '%'], "_");
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    format!("{how}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

fn extension_of(content_type: &str) -> Option<&'static str> {
    match content_type {
        "image/jpeg" => Some("jpg"),
        "image/png" => Some("png"),
        "image/gif" => Some("gif"),
        "image/webp" => Some("webp"),
        _ => None,
    }
}

/// The last part of a path-like name without what could mislead or break out: separators, what fits no name, marks of
/// direction, which could move an extension, and leading dots. `None` when nothing of it can be seen. Cleaning twice
/// changes nothing.
#[must_use]
pub fn clean_filename(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let misleads = |c: char| {
        !fits_a_name(c)
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}')
            || matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*')
    };
    let kept: String = last.chars().filter(|c| !misleads(*c)).collect();
    let edge = |c: char| c == '.' || c.is_whitespace();
    let kept = kept.trim_matches(edge);
    // A long name loses its middle, so that its extension stays.
    let length = kept.chars().count();
    let cut = match (kept.rsplit_once('.'), length > FILENAME_CHARS_MAX) {
        (_, false) => kept.to_owned(),
        (Some((stem, extension)), true) if extension.chars().count() <= 10 => {
            let room = FILENAME_CHARS_MAX - 1 - extension.chars().count();
            let stem: String = stem.chars().take(room).collect();
            format!("{}.{extension}", stem.trim_end_matches(edge))
        }
        (_, true) => kept.chars().take(FILENAME_CHARS_MAX).collect::<String>().trim_end_matches(edge).to_owned(),
    };
    (!is_blank(&cut)).then_some(cut)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PICTURE: Representation<'static> = Representation {
        content_type: "image/png",
        kind: MediaKind::Image,
        filename: Some("cat.png"),
        bytes_total: 1_000,
        etag: "\"7-original\"",
        private_for_s: None,
    };

    fn get(plan: &Plan, name: &str) -> String {
        plan.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    #[test]
    fn a_picture_is_shown_and_cannot_run() {
        let plan = plan(&PICTURE, &Conditions::default());
        assert_eq!((plan.status, plan.body.clone()), (StatusCode::OK, Some(0..1_000)));
        assert_eq!(get(&plan, "content-type"), "image/png");
        assert_eq!(get(&plan, "content-length"), "1000");
        assert_eq!(get(&plan, "x-content-type-options"), "nosniff");
        assert_eq!(get(&plan, "content-security-policy"), "sandbox; default-src 'none'");
        assert_eq!(get(&plan, "cache-control"), CACHE_CONTROL);
        assert_eq!(get(&plan, "content-disposition"), "inline; filename=\"cat.png\"; filename*=UTF-8''cat.png");
    }

    #[test]
    fn a_private_picture_is_kept_by_its_readers_own_cache_while_its_address_is_good() {
        let private = Representation { private_for_s: Some(90), ..PICTURE };
        assert_eq!(get(&plan(&private, &Conditions::default()), "cache-control"), "private, max-age=90, immutable");
        let known = Conditions { if_none_match: Some("*"), ..Conditions::default() };
        assert_eq!(get(&plan(&private, &known), "cache-control"), "private, max-age=90, immutable");
    }

    #[test]
    fn a_file_is_downloaded_under_its_cleaned_name() {
        for (name, header) in [
            ("résumé \"1\".pdf", "filename=\"r_sum_ 1.pdf\"; filename*=UTF-8''r%C3%A9sum%C3%A9%201.pdf"),
            ("../../etc/passwd", "filename=\"passwd\"; filename*=UTF-8''passwd"),
            ("C:\\x\\报告.pdf", "filename=\"__.pdf\"; filename*=UTF-8''%E6%8A%A5%E5%91%8A.pdf"),
            ("a\r\nSet-Cookie: b=1", "filename=\"aSet-Cookie b=1\"; filename*=UTF-8''aSet-Cookie%20b%3D1"),
            ("fdp\u{202e}exe.pdf", "filename=\"fdpexe.pdf\"; filename*=UTF-8''fdpexe.pdf"),
            ("a\u{61c}\u{3164}\u{e0001}\u{ad}b.txt", "filename=\"ab.txt\"; filename*=UTF-8''ab.txt"),
        ] {
            let file = Representation { kind: MediaKind::File, filename: Some(name), ..PICTURE };
            let disposition = get(&plan(&file, &Conditions::default()), "content-disposition");
            assert_eq!(disposition, format!("attachment; {header}"));
        }
        for unseen in ["...", "\u{200d}", "\u{202e}\u{200b}"] {
            let nameless = Representation { kind: MediaKind::File, filename: Some(unseen), ..PICTURE };
            assert_eq!(get(&plan(&nameless, &Conditions::default()), "content-disposition"), "attachment");
        }
    }

    #[test]
    fn an_extended_name_is_read_and_quotes_hide_nothing() {
        for (header, expected) in [
            ("form-data; name=\"file\"; filename*=UTF-8''caf%C3%A9.png", Some("café.png")),
            ("form-data; name=file; filename=\"plain.png\"; filename*=utf-8'de'%e4%bd%a0.png", Some("你.png")),
            ("form-data; FileName* = iso-8859-1'en'%A3.txt", Some("£.txt")),
            ("form-data; filename*=\"UTF-8''quoted.txt\"", Some("quoted.txt")),
            ("form-data; name=\"a; filename*=UTF-8''b\"", None),
            ("form-data; name=\"a\\\"; filename*=UTF-8''b\"", None),
            ("form-data; filename=\"plain.png\"", None),
            ("form-data; filename*=UTF-8''%ff", None),
            ("form-data; filename*=UTF-8''%ff; filename=\"plain.png\"", None),
            ("form-data; filename*=koi8-r''x", None),
            ("form-data; filename*=x", None),
            ("", None),
        ] {
            if header.contains("plain.png") {
                assert_eq!(plain_filename(header).as_deref(), Some("plain.png"));
            }
            assert_eq!(extended_filename(header).as_deref(), expected, "{header}");
        }
    }

    #[test]
    fn a_picture_is_saved_with_the_extension_of_what_it_is() {
        let odd = Representation { filename: Some("cat.html"), ..PICTURE };
        assert!(get(&plan(&odd, &Conditions::default()), "content-disposition").contains("\"cat.png\""));
    }

    #[test]
    fn one_range_is_a_part_and_what_cannot_be_read_is_the_whole() {
        for (header, expected) in [
            ("bytes=0-0", Ranged::Part(0..1)),
            ("bytes=10-", Ranged::Part(10..1_000)),
            ("bytes=990-5000", Ranged::Part(990..1_000)),
            ("bytes=-10", Ranged::Part(990..1_000)),
            ("bytes=-5000", Ranged::Part(0..1_000)),
            ("Bytes = 1-2", Ranged::Part(1..3)),
            ("bytes=0-99999999999999999999999", Ranged::Part(0..1_000)),
            ("bytes=1000-", Ranged::Unsatisfiable),
            ("bytes=1000-2000", Ranged::Unsatisfiable),
            ("bytes=99999999999999999999999-", Ranged::Unsatisfiable),
            ("bytes=-0", Ranged::Unsatisfiable),
            ("bytes=5-4", Ranged::Whole),
            ("bytes=0-1,5-6", Ranged::Whole),
            ("bytes=a-b", Ranged::Whole),
            ("bytes=-", Ranged::Whole),
            ("bytes", Ranged::Whole),
            ("items=0-1", Ranged::Whole),
            ("bytes=+1-2", Ranged::Whole),
            ("", Ranged::Whole),
        ] {
            assert_eq!(parse_range(header, 1_000), expected, "{header}");
        }
    }

    #[test]
    fn a_part_says_which_and_a_range_past_the_end_is_416() {
        let part = plan(&PICTURE, &Conditions { range: Some("bytes=100-199"), ..Conditions::default() });
        assert_eq!((part.status, part.body.clone()), (StatusCode::PARTIAL_CONTENT, Some(100..200)));
        assert_eq!(get(&part, "content-range"), "bytes 100-199/1000");
        assert_eq!(get(&part, "content-length"), "100");
        let past = plan(&PICTURE, &Conditions { range: Some("bytes=1000-"), ..Conditions::default() });
        assert_eq!((past.status, past.body.clone()), (StatusCode::RANGE_NOT_SATISFIABLE, None));
        assert_eq!(get(&past, "content-range"), "bytes */1000");
    }

    #[test]
    fn what_the_client_has_is_not_sent_again_and_if_range_guards_the_part() {
        for tags in ["\"7-original\"", "\"x\", W/\"7-original\"", "*"] {
            let asked = Conditions { if_none_match: Some(tags), range: Some("bytes=0-1"), ..Conditions::default() };
            assert_eq!(plan(&PICTURE, &asked).status, StatusCode::NOT_MODIFIED);
        }
        let asked =
            |if_range| Conditions { range: Some("bytes=0-1"), if_range: Some(if_range), ..Conditions::default() };
        assert_eq!(plan(&PICTURE, &asked("\"7-original\"")).status, StatusCode::PARTIAL_CONTENT);
        for other in ["\"8\"", "W/\"7-original\"", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(plan(&PICTURE, &asked(other)).status, StatusCode::OK);
        }
    }

    proptest! {
        #[test]
        fn any_name_gives_a_header_and_cleaning_twice_changes_nothing(name in "\\PC{0,150}(\\.[a-z\\PC]{0,12})?") {
            let file = Representation { kind: MediaKind::File, filename: Some(&name), ..PICTURE };
            prop_assert!(get(&plan(&file, &Conditions::default()), "content-disposition").starts_with("attachment"));
            if let Some(clean) = clean_filename(&name) {
                prop_assert!(clean.chars().count() <= FILENAME_CHARS_MAX);
                prop_assert_eq!(clean_filename(&clean), Some(clean));
            }
        }

        #[test]
        fn a_part_is_never_empty_and_within_the_whole(header in "bytes=[0-9]{0,4}-[0-9]{0,4}", total in 0_u64..3_000) {
            if let Ranged::Part(part) = parse_range(&header, total) {
                prop_assert!(part.start < part.end && part.end <= total);
            }
        }
    }
}
