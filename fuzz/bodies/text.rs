//! Any text: no panic, and what is found in it is a slice of it. Compiled by the fuzz target and by the test that
//! replays the seeds, both of which have a `crate::text`.

use crate::text::parse;

/// Longest text that a server can be set to take, in characters.
const CHARS_MAX: usize = 100_000;

pub fn run(data: &[u8]) {
    let Ok(raw) = std::str::from_utf8(data) else { return };
    let Ok(parsed) = parse(raw, CHARS_MAX) else { return };
    let mut end = 0;
    for link in &parsed.links {
        assert_eq!(parsed.text.get(link.span.clone()), Some(&*link.url));
        assert!(link.span.start >= end, "links overlap");
        end = link.span.end;
    }
    for mention in &parsed.mentions {
        let written = parsed.text.get(mention.span.clone()).unwrap_or_default();
        assert!(written.to_ascii_lowercase().ends_with(&mention.handle_key), "{written}");
        assert!(parsed.links.iter().all(|link| !link.span.contains(&mention.span.start)), "a mention within a link");
    }
    assert_eq!(parse(&parsed.text, CHARS_MAX).as_ref(), Ok(&parsed), "parsed again, it is another text");
}
