//! Just enough of Rust's lexical rules to tell code from comments and literals.

/// `source` with every comment and literal replaced by spaces; lines and columns stay where they are.
pub fn code_only(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = token_end(bytes, at);
        if let Some(end) = end {
            code[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
            at = end;
        } else if is_word(bytes[at]) {
            // A whole word at once, so that the `r` of `for "` is not taken for the start of a raw string.
            at += bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
        } else {
            at += 1;
        }
    }
    String::from_utf8_lossy(&code).into_owned()
}

pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// End of the comment or literal that begins at `at`; `None` when none begins there.
fn token_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        return Some(at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()));
    }
    if rest.starts_with(b"/*") {
        return Some(at + block_comment(rest));
    }
    let prefix = [&b"br"[..], b"cr", b"r", b"b", b"c", b""].into_iter().find(|prefix| {
        let after = &rest[prefix.len().min(rest.len())..];
        let hashes = after.iter().take_while(|byte| **byte == b'#').count();
        let raw = prefix.ends_with(b"r");
        rest.starts_with(prefix) && after.get(if raw { hashes } else { 0 }) == Some(&b'"')
    });
    if let Some(prefix) = prefix {
        let body = &rest[prefix.len()..];
        return Some(at + prefix.len() + if prefix.ends_with(b"r") { raw_string(body) } else { string(body) });
    }
    if rest.starts_with(b"b'") {
        return character(&rest[1..]).map(|length| at + 1 + length);
    }
    character(rest).map(|length| at + length)
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn string(body: &[u8]) -> usize {
    let mut at = 1;
    while at < body.len() {
        match body[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    body.len()
}

fn raw_string(body: &[u8]) -> usize {
    let hashes = body.iter().take_while(|byte| **byte == b'#').count();
    let end = [b"\"".as_slice(), &body[..hashes]].concat();
    let inside = hashes + 1;
    let length = body[inside..].windows(end.len()).position(|window| window == end);
    length.map_or(body.len(), |length| inside + length + end.len())
}

/// A character literal; a lifetime is none.
fn character(rest: &[u8]) -> Option<usize> {
    if rest.first() != Some(&b'\'') {
        return None;
    }
    let text = std::str::from_utf8(&rest[1..rest.len().min(16)]).or_else(|error| {
        // The window may end inside of a character.
        std::str::from_utf8(&rest[1..=error.valid_up_to()])
    });
    let mut characters = text.ok()?.char_indices();
    match characters.next()? {
        (_, '\\') => {
            characters.next()?;
            characters.find(|(_, character)| *character == '\'').map(|(at, _)| at + 2)
        }
        _ => characters.next().filter(|(_, character)| *character == '\'').map(|(at, _)| at + 2),
    }
}

#[test]
fn comments_and_literals_are_blanked_and_code_is_kept() {
    for (source, code) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"f("x\"y", z)"#, "f(      , z)"),
        (r##"f(r#"x"y"#, z)"##, "f(        , z)"),
        ("f(b'x', '\\'', '\\u{1F600}', 'é')", "f(    ,     ,            ,     )"),
        ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
        ("for \"x\"", "for    "),
        ("'{'", "   "),
    ] {
        assert_eq!(code_only(source), code, "{source}");
    }
}
