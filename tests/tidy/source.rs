//! Rules about the code: lengths, heads of modules, no panics outside of tests, documented bounds.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::lexer::{code_only, is_word};
use super::{assert_none, files_under, root, shown};

/// Lines of a file.
const FILE_LINES_MAX: usize = 500;
/// Lines of a function, from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Files that are longer, and why; an entry that is no longer needed fails.
const LONG_FILES: &[(&str, &str)] = &[];
/// Functions that are longer, as `file::function`, and why.
const LONG_FUNCTIONS: &[(&str, &str)] = &[];

/// Rust file, with its code apart from comments and literals.
pub struct Source {
    pub path: PathBuf,
    pub text: String,
    pub code: String,
    /// All of it is compiled for tests, or other development, only.
    pub for_tests: bool,
}

/// Code under `folder`, by file, without tests; comments, literals and tests are blank.
pub fn without_tests(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = root().join(folder);
    let own = sources().iter().filter(|source| source.path.starts_with(&folder) && !source.for_tests);
    let bare = |source: &Source| {
        let mut code = source.code.clone().into_bytes();
        for (start, end) in test_items(&String::from_utf8_lossy(&code)) {
            code[start..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        }
        (source.path.clone(), String::from_utf8_lossy(&code).into_owned())
    };
    own.map(bare).collect()
}

/// All of them, read once.
pub fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(read_sources);
    &SOURCES
}

fn read_sources() -> Vec<Source> {
    let folders = ["src", "crates", "tests", "examples", "fuzz"].iter().flat_map(|folder| files_under(folder, ".rs"));
    let paths: Vec<PathBuf> = folders.chain([root().join("main.rs")]).collect();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        Source { code: code_only(&text), text, for_tests: false, path }
    };
    let mut sources: Vec<Source> = paths.into_iter().map(read).collect();
    let test_modules: HashSet<PathBuf> = sources.iter().flat_map(modules_for_tests).collect();
    for source in &mut sources {
        let own = |part| {
            source.path.strip_prefix(root()).is_ok_and(|path| path.components().any(|name| name.as_os_str() == part))
        };
        let module = source.path.with_extension("");
        let inside = test_modules.iter().any(|tests| module.starts_with(tests));
        source.for_tests = inside || ["tests", "fuzz", "examples"].into_iter().any(own);
    }
    sources
}

/// Paths, without `.rs`, of the modules that `source` declares as `#[cfg(test)] mod name;`.
fn modules_for_tests(source: &Source) -> Vec<PathBuf> {
    let folder = source.path.parent().unwrap();
    let stem = source.path.file_stem().unwrap().to_string_lossy();
    let home = if matches!(&*stem, "mod" | "lib" | "main") { folder.to_owned() } else { folder.join(&*stem) };
    let named = |(start, end): (usize, usize)| {
        let module = source.code[start..end].split("mod ").nth(1)?.strip_suffix(';')?.trim();
        // The scanner blanks strings, so the path is read from the text itself.
        let path = source.text.get(start..end).and_then(|text| text.split("#[path = \"").nth(1)?.split(".rs\"").next());
        Some(path.map_or_else(|| home.join(module), |path| folder.join(path)))
    };
    test_items(&source.code).into_iter().filter_map(named).collect()
}

/// Byte ranges of the items under a `#[cfg(test)]`, attribute included.
pub fn test_items(code: &str) -> Vec<(usize, usize)> {
    let mut items = Vec::new();
    for (start, attribute) in code.match_indices("#[cfg(test)]").chain(code.match_indices("#[cfg(any(test")) {
        let bytes = code.as_bytes();
        let mut at = start + attribute.len();
        while at < bytes.len() && bytes[at] != b';' && bytes[at] != b'{' {
            at += 1;
        }
        let end = if bytes.get(at) == Some(&b'{') { block_end(bytes, at) } else { (at + 1).min(bytes.len()) };
        items.push((start, end));
    }
    items
}

/// Place after the brace that closes the one at `open`.
pub fn block_end(bytes: &[u8], open: usize) -> usize {
    let mut depth = 0;
    for (at, byte) in bytes.iter().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return at + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    bytes.len()
}

pub fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// Name, first line and number of lines of every function with a body.
fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let bytes = code.as_bytes();
    let starts = code.match_indices("fn ").map(|(at, _)| at).filter(|at| *at == 0 || !is_word(bytes[at - 1]));
    let mut found = Vec::new();
    for start in starts {
        let name: String =
            code[start + 3..].trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let (mut depth, mut at) = (0_i32, start);
        while at < bytes.len() && !(depth == 0 && matches!(bytes[at], b'{' | b';')) {
            match bytes[at] {
                b'(' | b'[' => depth += 1,
                b')' | b']' => depth -= 1,
                _ => {}
            }
            // A function pointer type ends where what surrounds it ends.
            if depth < 0 {
                break;
            }
            at += 1;
        }
        if !name.is_empty() && bytes.get(at) == Some(&b'{') {
            let (first, last) = (line_of(code, start), line_of(code, block_end(bytes, at)));
            found.push((name, first, last - first + 1));
        }
    }
    found
}

/// Things that are over a bound and not excused, and excuses that nothing needs.
fn over(found: &[(String, String, usize)], max: usize, excused: &[(&str, &str)]) -> Vec<String> {
    let is_excused = |key: &str| excused.iter().any(|(name, _)| *name == key);
    let needed = |key: &str| found.iter().any(|(name, _, lines)| name == key && *lines > max);
    let stale =
        excused.iter().filter(|(name, _)| !needed(name)).map(|(name, _)| format!("{name} is excused and need not be"));
    let vague = excused
        .iter()
        .filter(|(_, reason)| reason.len() < 20)
        .map(|(name, _)| format!("{name} is excused without a reason"));
    let stale: Vec<String> = stale.chain(vague).collect();
    let long = found.iter().filter(|(key, _, lines)| *lines > max && !is_excused(key));
    long.map(|(_, place, lines)| format!("{place} has {lines} lines of {max}: find the seam")).chain(stale).collect()
}

#[test]
fn files_are_short() {
    let lines = |source: &Source| (shown(&source.path), shown(&source.path), source.text.lines().count());
    assert_none(&over(&sources().iter().map(lines).collect::<Vec<_>>(), FILE_LINES_MAX, LONG_FILES));
}

#[test]
fn functions_are_short() {
    let mut found = Vec::new();
    for source in sources() {
        for (name, line, lines) in functions(&source.code) {
            let path = shown(&source.path);
            found.push((format!("{path}::{name}"), format!("{path}:{line} {name}"), lines));
        }
    }
    assert_none(&over(&found, FUNCTION_LINES_MAX, LONG_FUNCTIONS));
}

#[test]
fn modules_open_with_their_place_in_the_flow() {
    let bare = |source: &Source| !source.text.starts_with("//! ");
    let broken = sources()
        .iter()
        .filter(|source| bare(source))
        .map(|source| format!("{} opens without `//!`", shown(&source.path)))
        .collect::<Vec<_>>();
    assert_none(&broken);
}

#[test]
fn nothing_unwraps_outside_of_tests() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| !source.for_tests) {
        let tests = test_items(&source.code);
        for panics in [".unwrap()", ".expect(", ".unwrap_err()", ".expect_err("] {
            for (at, _) in source.code.match_indices(panics) {
                let in_test = tests.iter().any(|(start, end)| (*start..*end).contains(&at));
                let line = line_of(&source.code, at);
                if !in_test && !is_justified(&source.code, line) {
                    broken.push(format!(
                        "{}:{line} calls {panics}: answer an error, or allow the lint with a reason",
                        shown(&source.path)
                    ));
                }
            }
        }
    }
    assert_none(&broken);
}

/// Names of what has no place in a pure file.
const IMPURE: [&str; 9] =
    ["async fn", "async move", ".await", "Clock", "SystemTime", "Instant::now", "getrandom", "std::fs", "tokio::"];

/// Whether the head of a file says that it is pure, with no but.
fn says_it_is_pure(text: &str) -> bool {
    let head: String = text.lines().map_while(|line| line.strip_prefix("//!")).collect();
    let whole = |before: &str| !before.ends_with(|c: char| c.is_alphanumeric());
    head.match_indices("Pure").any(|(at, _)| {
        let after = &head[at + "Pure".len()..];
        whole(&head[..at]) && !after.starts_with(char::is_alphanumeric) && !after.starts_with(" but")
    })
}

#[test]
fn what_says_it_is_pure_is_without_async_clock_randomness_and_io() {
    let pure: Vec<&Source> = sources().iter().filter(|source| says_it_is_pure(&source.text)).collect();
    assert!(pure.len() > 40, "only {} pure files were found", pure.len());
    let mut broken = Vec::new();
    for source in pure {
        let tests = test_items(&source.code);
        for name in IMPURE {
            for (at, _) in source.code.match_indices(name) {
                if !tests.iter().any(|(start, end)| (*start..*end).contains(&at)) {
                    let line = line_of(&source.code, at);
                    broken.push(format!("{}:{line} says it is pure, and names {name}", shown(&source.path)));
                }
            }
        }
    }
    assert_none(&broken);
    for head in ["//! Decides. Pure.", "//! Decides.\n//! Pure; the shell asks.", "//! Pure: no clock."] {
        assert!(says_it_is_pure(head), "{head}");
    }
    for head in ["//! Decides.", "//! Pure but for the memory.", "//! A Purelist.", "//! Acts.\n\n/// Pure."] {
        assert!(!says_it_is_pure(head), "{head}");
    }
}

/// Printing macros panic when the reader has gone, as `head` goes.
#[test]
fn nothing_prints_past_the_place_that_stands_a_reader_who_goes() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| !source.for_tests) {
        let tests = test_items(&source.code);
        for prints in ["println!(", "print!(", "eprintln!(", "eprint!("] {
            for (at, _) in source.code.match_indices(prints) {
                let in_test = tests.iter().any(|(start, end)| (*start..*end).contains(&at));
                let whole = !source.code[..at].ends_with(|before: char| before.is_ascii_alphanumeric());
                if !in_test && whole {
                    let line = line_of(&source.code, at);
                    broken.push(format!("{}:{line} calls {prints}: use base::output", shown(&source.path)));
                }
            }
        }
    }
    assert_none(&broken);
}

/// Whether an attribute within the lines above allows the call and gives a reason.
fn is_justified(code: &str, line: usize) -> bool {
    const LINES_ABOVE: usize = 4;
    let above: Vec<&str> = code.lines().skip(line.saturating_sub(LINES_ABOVE + 1)).take(LINES_ABOVE).collect();
    above.iter().any(|line| {
        (line.contains("clippy::unwrap_used") || line.contains("clippy::expect_used")) && line.contains("reason")
    })
}

#[test]
fn every_bound_and_every_table_says_what_it_is() {
    let mut broken = Vec::new();
    for file in ["src/base/limits/mod.rs", "src/data/tables/mod.rs", "crates/engines/src/limits.rs"]
        .map(|file| root().join(file))
    {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (number, line) in lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.starts_with("pub const ") && !line.starts_with("pub const fn"))
        {
            let documented = lines[..number]
                .iter()
                .rev()
                .find(|above| !above.starts_with("#["))
                .is_some_and(|above| above.starts_with("///"));
            if !documented {
                broken.push(format!("{}:{} has no words: {line}", shown(&file), number + 1));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn tests_do_not_sleep_to_wait() {
    let mut broken = Vec::new();
    for source in sources() {
        let tests = if source.for_tests { vec![(0, source.code.len())] } else { test_items(&source.code) };
        // Polling a condition needs a pause between two looks: those say so on the line.
        for (at, _) in source.code.match_indices("sleep(") {
            let line = line_of(&source.code, at);
            let excused = source.text.lines().nth(line - 1).is_some_and(|text| text.contains("// poll"));
            if tests.iter().any(|(start, end)| (*start..*end).contains(&at)) && !excused {
                broken.push(format!(
                    "{}:{line} sleeps: poll a condition with a deadline, and mark the pause with `// poll`",
                    shown(&source.path)
                ));
            }
        }
    }
    assert_none(&broken);
}

/// Places that ask the system for the time, and why they may.
const ASKS_THE_SYSTEM: [(&str, &str); 3] = [
    ("src/base/clock.rs", "the clock itself"),
    ("src/http/doorstep.rs", "the `Date` of answers, as hyper says it"),
    ("src/users/jwks/published.rs", "a metric of the moment as the world counts it"),
];

/// The server has one clock, which is handed in: it follows no jump, and an import turns it.
#[test]
fn the_time_comes_from_the_one_clock() {
    let mut broken = Vec::new();
    let mut needed = HashSet::new();
    for (path, code) in without_tests("src") {
        for word in ["SystemTime::now", "Clock::system", "Clock::accepted", "Utc::now", "UNIX_EPOCH.elapsed"] {
            for (at, _) in code.match_indices(word) {
                let (file, line) = (shown(&path), code[..at].matches('\n').count() + 1);
                match ASKS_THE_SYSTEM.iter().find(|(excused, _)| *excused == file) {
                    Some((excused, _)) => drop(needed.insert(*excused)),
                    None => {
                        broken.push(format!("{file}:{line}: {word}: take the time from the clock that is handed in"));
                    }
                }
            }
        }
    }
    assert_none(&broken);
    assert_eq!(needed.len(), ASKS_THE_SYSTEM.len(), "an excuse that nothing needs");
}

#[test]
fn the_scanner_knows_functions_and_tests() {
    let code = "fn a() -> [u8; 2] {\n\n}\ntrait T { fn b(&self); fn c(f: fn (u8) -> u8) { x } }\n#[cfg(test)]\nmod tests {\n fn d() {}\n}\n#[cfg(test)]\nmod more;\nfn e() {}";
    let names: Vec<(String, usize)> = functions(code).into_iter().map(|(name, _, lines)| (name, lines)).collect();
    assert_eq!(names, [("a", 3), ("c", 1), ("d", 1), ("e", 1)].map(|(name, lines)| (name.to_owned(), lines)));
    let source = Source {
        path: Path::new("/x/src/feed/ring.rs").to_owned(),
        text: String::new(),
        code: code.to_owned(),
        for_tests: false,
    };
    assert_eq!(modules_for_tests(&source), [PathBuf::from("/x/src/feed/ring/more")]);
    assert_eq!(test_items(code).len(), 2);
}
