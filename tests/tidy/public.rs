//! Public names that nobody outside of their file says: the compiler does not miss them in a library.

use std::collections::{HashMap, HashSet};

use super::lexer::is_word;
use super::source::{Source, block_end, line_of, sources, test_items, without_tests};
use super::{assert_none, shown};

/// Folders whose public items are for this project alone. Client and protocol are what programs of others name.
const LOOKED_AT: [&str; 5] =
    ["src/", "crates/bench/src/", "crates/commands/src/", "crates/engines/src/", "crates/websocket/src/"];
/// Names that stay public all the same, as `file::name`, and why; an entry that is no longer needed fails.
const KEPT: &[(&str, &str)] = &[
    ("crates/engines/src/embedded/mod.rs::ephemeral_bytes", FILLED),
    ("crates/engines/src/limits.rs::OBJECT_BYTES_MAX", PROMISED),
    ("crates/engines/src/limits.rs::OBJECT_KEY_BYTES_MAX", PROMISED),
    ("src/users/jwks/published.rs::unknown_key", FILLED),
    ("src/users/jwt_keys.rs::hs256_secret", FILLED),
    ("src/users/jwt_keys.rs::jwks_file", FILLED),
    ("src/users/jwt_keys.rs::public_keys_files", FILLED),
];
const PROMISED: &str = "the port promises it, and other engines are to keep it";
const FILLED: &str = "others fill the struct with `..default()`, which a private field forbids";

/// A public item or field.
#[derive(Debug, PartialEq)]
struct Public {
    name: String,
    /// Offset of its `pub`.
    at: usize,
    /// End of what others see of it: its signature, or its body if that is declarations.
    end: usize,
    is_type: bool,
}

/// The words of `code` with where they begin.
fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let bytes = code.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() && !is_word(bytes[at]) {
            at += 1;
        }
        let start = at;
        while at < bytes.len() && is_word(bytes[at]) {
            at += 1;
        }
        (start < at).then(|| (start, &code[start..at]))
    })
}

/// End of the first of `stops` that is in no brackets, or of what surrounds `at`.
fn stop(bytes: &[u8], mut at: usize, stops: &[u8]) -> usize {
    let mut depth = 0_usize;
    while at < bytes.len() {
        match bytes[at] {
            byte if depth == 0 && stops.contains(&byte) => return at + 1,
            b'(' | b'[' | b'{' | b'<' => depth += 1,
            // An arrow closes nothing.
            b'>' if bytes[at - 1] == b'-' || bytes[at - 1] == b'=' => {}
            b')' | b']' | b'}' | b'>' if depth == 0 => return at,
            b')' | b']' | b'}' | b'>' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    at
}

/// Every `pub` item and field of `code`; those of a part of the crate (`pub(super)`) are marked by an empty name.
fn publics(code: &str) -> Vec<Public> {
    let bytes = code.as_bytes();
    let mut found = Vec::new();
    for (at, _) in words(code).filter(|(_, word)| *word == "pub") {
        let mut after = at + 3;
        let narrow = bytes.get(after) == Some(&b'(');
        if narrow {
            after = stop(bytes, after + 1, b")");
        }
        let mut rest = words(&code[after..]).map(|(start, word)| (after + start, word));
        let Some((mut start, mut word)) = rest.next() else { continue };
        while matches!(word, "async" | "unsafe" | "extern")
            || (word == "const" && code[start..].starts_with("const fn "))
        {
            let Some(next) = rest.next() else { break };
            (start, word) = next;
        }
        let is_item =
            matches!(word, "fn" | "const" | "static" | "mod" | "struct" | "enum" | "trait" | "type" | "union");
        let (name_at, name) = if is_item { rest.next().unwrap_or((start, "")) } else { (start, word) };
        let behind = name_at + name.len();
        let end = match word {
            "use" => continue,
            "fn" | "struct" | "enum" | "trait" | "union" => {
                let head = stop(bytes, behind, b"{;");
                let is_body = word != "fn" && bytes.get(head - 1) == Some(&b'{');
                if is_body { block_end(bytes, head - 1) } else { head }
            }
            "const" | "static" => stop(bytes, behind, b"=;"),
            "mod" | "type" => stop(bytes, behind, b";{"),
            // A field; of a tuple, its type alone.
            _ if code[behind..].trim_start().starts_with(':') && !code[behind..].trim_start().starts_with("::") => {
                stop(bytes, behind, b",")
            }
            _ => {
                found.push(Public { name: String::new(), at, end: stop(bytes, start, b","), is_type: false });
                continue;
            }
        };
        let is_type = matches!(word, "struct" | "enum" | "trait" | "type" | "union");
        found.push(Public { name: if narrow { String::new() } else { name.to_owned() }, at, end, is_type });
    }
    found
}

/// `code` without its `pub use`: to hand a name on is not to use it.
fn without_reexports(code: &str) -> String {
    let mut code = code.to_owned();
    while let Some(start) = code.find("pub use ") {
        let end = code[start..].find(';').map_or(code.len(), |length| start + length + 1);
        // Lines stay where they are.
        let blank: String = code[start..end].chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
        code.replace_range(start..end, &blank);
    }
    code
}

/// Whether a public item beside `this`, or the type that a trait is implemented with, says its name: then the compiler
/// asks that it is public.
fn is_in_an_interface(code: &str, this: &Public, all: &[Public]) -> bool {
    let says = |from: usize, to: usize| words(&code[from..to]).any(|(_, word)| word == this.name);
    let others = all.iter().filter(|other| other.at != this.at);
    let with = code.match_indices("type ").map(|(at, _)| (at, stop(code.as_bytes(), at, b";")));
    this.is_type
        && (others.map(|other| (other.at, other.end)).any(|(from, to)| says(from, to))
            || with.filter(|(at, _)| !(this.at..this.end).contains(at)).any(|(from, to)| says(from, to)))
}

/// Whether an item stands in a module within its file, and the rest of the file names it.
fn is_for_its_file(code: &str, this: &Public) -> bool {
    let modules =
        code.match_indices("mod ").filter(|(at, _)| *at < this.at).map(|(at, _)| stop(code.as_bytes(), at, b";{"));
    let mut bodies = modules.filter(|head| code.as_bytes()[head - 1] == b'{');
    bodies.any(|head| block_end(code.as_bytes(), head - 1) > this.at)
        && words(code).filter(|(_, word)| *word == this.name).count() > 1
}

/// Public names of the files looked at that no other file says, as `file::name`, with their lines.
fn unsaid(sources: &[Source]) -> Vec<(String, usize)> {
    let codes: Vec<String> = sources.iter().map(|source| without_reexports(&source.code)).collect();
    let mut files_with: HashMap<&str, usize> = HashMap::new();
    for code in &codes {
        for word in words(code).map(|(_, word)| word).collect::<HashSet<_>>() {
            *files_with.entry(word).or_default() += 1;
        }
    }
    let mut found = Vec::new();
    for (source, code) in sources.iter().zip(&codes) {
        let path = shown(&source.path);
        if source.for_tests || !LOOKED_AT.iter().any(|folder| path.starts_with(folder)) {
            continue;
        }
        let all = publics(code);
        let own = all.iter().filter(|public| !public.name.is_empty() && files_with[&*public.name] == 1);
        let own = own.filter(|public| !is_for_its_file(code, public));
        let needless = own.filter(|public| !is_in_an_interface(code, public, &all));
        found.extend(needless.map(|public| (format!("{path}::{}", public.name), line_of(code, public.at))));
    }
    found
}

#[test]
fn what_is_public_is_named_outside_of_its_file() {
    let found = unsaid(sources());
    let kept = |key: &str| KEPT.iter().any(|(name, _)| *name == key);
    let needless = found.iter().filter(|(key, _)| !kept(key)).map(|(key, line)| {
        format!("{key} (line {line}) is public, and no other file names it: make it private, or remove it")
    });
    let stale = KEPT.iter().filter(|(name, _)| !found.iter().any(|(key, _)| key == name));
    let stale = stale.map(|(name, why)| format!("{name} is listed and need not be ({why})"));
    assert_none(&needless.chain(stale).collect::<Vec<_>>());
}

/// Names of the structs of `code` that have fields for others.
fn open_structs(code: &str) -> Vec<String> {
    let all = publics(code);
    let heads = words(code).zip(words(code).skip(1)).filter(|((_, word), _)| *word == "struct");
    heads
        .filter(|(_, (at, name))| {
            let head = stop(code.as_bytes(), at + name.len(), b"{;");
            let end = if code.as_bytes()[head - 1] == b'{' { block_end(code.as_bytes(), head - 1) } else { head };
            all.iter().any(|public| (*at..end).contains(&public.at))
        })
        .map(|(_, (_, name))| name.to_owned())
        .collect()
}

/// Types that `code` lends by `Deref`, by the last word of each, with their lines.
fn lent(code: &str) -> Vec<(String, usize)> {
    let targets = code.match_indices("type Target").filter(|(at, _)| {
        let before = code[..*at].rfind("impl").map_or("", |implementing| &code[implementing..*at]);
        words(before).any(|(_, word)| matches!(word, "Deref" | "DerefMut"))
    });
    let name = |(at, _): (usize, &str)| {
        let whole = &code[at..stop(code.as_bytes(), at, b";")];
        words(whole).last().map(|(_, word)| (word.to_owned(), line_of(code, at)))
    };
    targets.filter_map(name).collect()
}

/// A reader of `app.users` looks for a field of `App`: what a type holds it lends by methods.
#[test]
fn nothing_lends_the_fields_of_a_struct_by_deref() {
    let code: Vec<_> = ["src", "crates"].into_iter().flat_map(without_tests).collect();
    let open: HashSet<String> = code.iter().flat_map(|(_, code)| open_structs(code)).collect();
    assert!(open.len() > 50, "only {} structs were found", open.len());
    let of_file = |(path, code): &(std::path::PathBuf, String)| {
        let lent = lent(code).into_iter().filter(|(name, _)| open.contains(name));
        let told = |(name, line)| format!("{}:{line} lends the fields of `{name}`: name methods for them", shown(path));
        lent.map(told).collect::<Vec<_>>()
    };
    assert_none(&code.iter().flat_map(of_file).collect::<Vec<_>>());
}

#[test]
fn what_is_lent_by_deref_is_found() {
    let code = "struct A { pub b: u8 }\nstruct B { b: u8 }\npub struct C(pub(super) u8);\npub struct D;\n\
                impl Deref for X {\n type Target = A;\n}\nimpl std::ops::Deref for Y { type Target = x::C; }\n\
                impl Iterator for Z { type Target = B; }";
    assert_eq!(open_structs(code), ["A", "C"]);
    assert_eq!(lent(code), [("A".to_owned(), 6), ("C".to_owned(), 8)]);
}

/// Public types of one name in two places, as `name`, and why both keep it; one that is single now fails.
const DOUBLED: &[(&str, &str)] = &[
    ("Change", "of counters in the log, of a timeline's relations in the feed: neither knows the other"),
    ("Entry", "of a ring in the feed, of a handshake in realtime: neither knows the other"),
    ("Phase", "of the server, which load balancers ask for, and of a session, which its shard knows"),
    ("Settings", "of the server, from its file, and of the embedded engine, which is always said beside it"),
    ("Session", "the API's word for a log-in, and for a connection of realtime delivery"),
];
/// Crates whose types the server names side by side with its own.
const SIDE_BY_SIDE: [&str; 3] = ["src/", "crates/engines/src/", "crates/protocol/src/"];

/// Names of public types that several files of `sources` have, each with the files.
fn doubled(sources: &[Source]) -> Vec<(String, Vec<String>)> {
    let mut places: std::collections::BTreeMap<String, Vec<String>> = std::collections::BTreeMap::new();
    for source in sources.iter().filter(|source| !source.for_tests) {
        let path = shown(&source.path);
        let tests = test_items(&source.code);
        let is_for_tests = |at: usize| tests.iter().any(|(start, end)| (*start..*end).contains(&at));
        for public in publics(&source.code).into_iter().filter(|public| public.is_type && !public.name.is_empty()) {
            if SIDE_BY_SIDE.iter().any(|folder| path.starts_with(folder)) && !is_for_tests(public.at) {
                places.entry(public.name).or_default().push(path.clone());
            }
        }
    }
    places.into_iter().filter(|(_, places)| places.len() > 1).collect()
}

/// Whoever reads `Entry` does not ask of what.
#[test]
fn public_types_have_names_of_their_own() {
    let found = doubled(sources());
    let excused = |name: &str| DOUBLED.iter().any(|(excused, _)| *excused == name);
    let told = found.iter().filter(|(name, _)| !excused(name));
    let told = told.map(|(name, places)| format!("`{name}` is two types: {}", places.join(", ")));
    let stale = DOUBLED.iter().filter(|(name, _)| !found.iter().any(|(doubled, _)| doubled == name));
    let stale = stale.map(|(name, _)| format!("`{name}` may be doubled and is not"));
    assert_none(&told.chain(stale).collect::<Vec<_>>());
}

#[test]
fn the_scanner_knows_what_is_public() {
    let code = "pub struct A { pub b: Vec<u8>, c: u8 }\npub(super) fn d(a: &A) -> u8 { 1 }\npub const fn e() {}\n\
                pub const F: u8 = 1;\npub use x::Y;\npub struct G(pub u8);\npub async fn h<T>(g: G) -> Option<T> { i() }\n";
    let code = without_reexports(code);
    let all = publics(&code);
    let names: Vec<&str> = all.iter().map(|public| &*public.name).collect();
    assert_eq!(names, ["A", "b", "", "e", "F", "G", "", "h"]);
    let seen: Vec<bool> = all.iter().map(|public| is_in_an_interface(&code, public, &all)).collect();
    assert_eq!(seen, [true, false, false, false, false, true, false, false]);
    assert!(code[all[7].at..all[7].end].ends_with("Option<T> {"));
}

#[test]
fn a_name_that_only_its_file_says_is_found() {
    let source = |path: &str, code: &str| Source {
        path: super::root().join(path),
        text: String::new(),
        code: code.to_owned(),
        for_tests: false,
    };
    let sources = [
        source("src/x/a.rs", "pub fn used() { unused() }\npub fn unused() {}\npub struct Handed;"),
        source("src/x/mod.rs", "mod a;\npub use a::Handed;\nfn run() { a::used() }"),
        source(
            "src/lib.rs",
            "pub mod x;\nmod places { pub const FIRST: u8 = 0; pub const NOBODYS: u8 = 1; }\nconst A: u8 = places::FIRST;",
        ),
        source("src/y.rs", "use x as _;"),
    ];
    let names: Vec<String> = unsaid(&sources).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["src/x/a.rs::unused", "src/x/a.rs::Handed", "src/lib.rs::NOBODYS"]);
    let sources = [
        source(
            "src/x/a.rs",
            "pub struct One;\npub enum Two {}\npub(super) struct Three;\n#[cfg(test)]\nmod tests { pub struct Four; }",
        ),
        source("crates/protocol/src/b.rs", "pub trait Two {}\npub struct Three;\npub struct Four;"),
        source("crates/bench/src/c.rs", "pub struct One;"),
    ];
    let names: Vec<String> = doubled(&sources).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Two"]);
}
