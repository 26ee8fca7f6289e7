//! Rules about the words of comments: the first line is understood without the code below it.
//!
//! It names its subject as a catalogue does: "Longest wait for a reply.", not "How long a reply may take."; "Client
//! over the same connections without a token.", not "The same connections without a token.".

use super::{assert_none, files_under, root, shown};

/// Words that stand for something said elsewhere, or that open a clause about it.
const POINTERS: &[&str] = &[
    "Another", "As", "Here", "How", "If", "It", "Its", "One", "Other", "Others", "Same", "Such", "That", "Their",
    "Then", "There", "These", "They", "This", "Those", "What", "When", "Where", "Which", "Who", "Whom", "Whose",
];
/// Prepositions: a comment does not open with one of them and a pointer ("By which token.").
const PREPOSITIONS: &[&str] = &[
    "About", "Above", "After", "At", "Before", "Below", "Beside", "By", "For", "From", "In", "Of", "On", "Over",
    "Since", "To", "Under", "Until", "Up to", "With", "Without",
];
/// Pointers after a preposition. Others than these name something there ("In one commit").
const POINTERS_WITHIN: &[&str] =
    &["how", "it", "that", "them", "these", "this", "those", "what", "when", "where", "which", "who", "whom", "whose"];
/// First lines that stay although they open so, and why; one that is gone fails.
const EXCUSED: &[(&str, &str)] = &[];

/// Opening of a comment: where it stands, and its first line.
struct Opening {
    path: String,
    line: usize,
    text: String,
}

/// Openings of the doc comments of a file, Rust or TypeScript.
fn openings(path: &str, source: &str) -> Vec<Opening> {
    if path.ends_with(".rs") { of_rust(path, source) } else { of_script(path, source) }
}

/// Openings of `///` and `//!`.
fn of_rust(path: &str, source: &str) -> Vec<Opening> {
    let mut found = Vec::new();
    let mut goes_on = false;
    for (number, line) in source.lines().map(str::trim_start).enumerate() {
        let comment = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
        let text = comment.map(str::trim).filter(|text| !goes_on && !text.is_empty());
        found.extend(text.map(|text| Opening { path: path.to_owned(), line: number + 1, text: text.to_owned() }));
        goes_on = comment.is_some();
    }
    found
}

/// Openings of `/** … */`, and the line at the head of the file.
fn of_script(path: &str, source: &str) -> Vec<Opening> {
    let mut found = Vec::new();
    let mut begun = false;
    for (number, line) in source.lines().map(str::trim).enumerate() {
        let text = match (line.strip_prefix("/**"), line.strip_prefix("// ")) {
            (Some(text), _) => text.trim_end_matches("*/").trim(),
            (None, Some(text)) if number == 0 => text,
            _ if begun => line.trim_start_matches('*').trim(),
            _ => continue,
        };
        begun = text.is_empty();
        let text = Some(text).filter(|text| !text.is_empty());
        found.extend(text.map(|text| Opening { path: path.to_owned(), line: number + 1, text: text.to_owned() }));
    }
    found
}

/// Whether `text` opens with a word that needs the code, or another comment, to be understood.
fn points_elsewhere(text: &str) -> bool {
    let word = |text: &str| text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned();
    let is_within = |rest: &str| POINTERS_WITHIN.contains(&word(rest).as_str());
    POINTERS.contains(&word(text).as_str())
        || text.strip_prefix("The ").is_some_and(|rest| word(rest) == "same")
        || PREPOSITIONS.iter().filter_map(|opens| text.strip_prefix(opens)?.strip_prefix(' ')).any(is_within)
}

/// Openings that point elsewhere and are not excused, and excuses that nothing needs.
fn broken(found: &[Opening], excused: &[(&str, &str)]) -> Vec<String> {
    let pointing: Vec<&Opening> = found.iter().filter(|one| points_elsewhere(&one.text)).collect();
    let is_excused = |one: &Opening| excused.iter().any(|(text, _)| *text == one.text);
    let told = pointing.iter().filter(|one| !is_excused(one)).map(|Opening { path, line, text }| {
        format!("{path}:{line} opens with a word that needs the code: name the subject. {text}")
    });
    let stale = excused.iter().filter(|(text, _)| !pointing.iter().any(|one| one.text == *text));
    told.chain(stale.map(|(text, _)| format!("`{text}` is excused and need not be"))).collect()
}

#[test]
fn comments_are_understood_without_the_code() {
    let rust = ["src", "crates", "tests", "fuzz", "examples"].map(|folder| (folder, ".rs"));
    let scripts = ["sdk/typescript/src", "sdk/typescript/test", "sdk/typescript/scripts", "examples/app/src"]
        .into_iter()
        .flat_map(|folder| [".ts", ".tsx", ".mjs"].map(|suffix| (folder, suffix)));
    let paths = rust.into_iter().chain(scripts).flat_map(|(folder, suffix)| files_under(folder, suffix));
    let paths = paths.chain(["build.rs", "main.rs"].map(|file| root().join(file)));
    let read = |path: std::path::PathBuf| openings(&shown(&path), &std::fs::read_to_string(&path).unwrap());
    let found: Vec<Opening> = paths.flat_map(read).collect();
    assert!(found.len() > 1_000, "only {} comments were found", found.len());
    assert_none(&broken(&found, EXCUSED));
}

/// Names of types of two words or more that `source` declares: no words of English.
fn compounds(source: &str) -> Vec<String> {
    let declared = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("pub ").or_else(|| line.strip_prefix("pub(super) ")).unwrap_or(line);
        let rest = ["struct ", "enum ", "trait ", "type "].into_iter().find_map(|kind| line.strip_prefix(kind))?;
        Some(rest.split(|c: char| !c.is_alphanumeric()).next()?.to_owned())
    };
    let is_compound = |name: &String| name.chars().skip(1).any(char::is_uppercase) && name != "WebSocket";
    source.lines().filter_map(declared).filter(is_compound).collect()
}

#[test]
fn comments_open_with_words_and_not_with_a_types_name() {
    let read = |path: &std::path::PathBuf| std::fs::read_to_string(path).unwrap();
    let paths: Vec<_> = ["src", "crates", "tests"].into_iter().flat_map(|folder| files_under(folder, ".rs")).collect();
    let names: std::collections::HashSet<String> = paths.iter().flat_map(|path| compounds(&read(path))).collect();
    assert!(names.len() > 300, "only {} names were found", names.len());
    let named = |path: &std::path::PathBuf| {
        let found = openings(&shown(path), &read(path)).into_iter();
        let is_name =
            |one: &Opening| names.contains(one.text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or(""));
        found.filter(is_name).collect::<Vec<_>>()
    };
    let found = paths.iter().flat_map(named);
    let told =
        |Opening { path, line, text }| format!("{path}:{line} opens with a type's name: say it in words. {text}");
    assert_none(&found.map(told).collect::<Vec<_>>());
    assert_eq!(
        compounds("pub struct ListPlace(u8);\nenum Place {}\n    pub(super) type MarkOf = u8;"),
        ["ListPlace", "MarkOf"]
    );
}

#[test]
fn the_rule_tells_a_pointer_from_a_name() {
    let lines = [
        "//! What a module is.",
        "//! When.",
        "",
        "mod a {",
        "    /// Names.",
        "    /// Which.",
        "    ///",
        "    /// It.",
    ];
    let more = ["    #[x]", "    fn b() {} // How", "    ///", "    /// Whose.", "}", "\"/// What\";"];
    let source = [&lines[..], &more].concat().join("\n");
    let found: Vec<(usize, String)> = openings("a.rs", &source).into_iter().map(|one| (one.line, one.text)).collect();
    assert_eq!(found, [(1, "What a module is.".to_owned()), (5, "Names.".to_owned())]);
    let script =
        "// What a file is.\n// When.\n/** Names. */\nconst a = 1; // How\n  /**\n   * Whose.\n   * Who.\n   */\n";
    let found: Vec<(usize, String)> = openings("a.ts", script).into_iter().map(|one| (one.line, one.text)).collect();
    assert_eq!(found, [(1, "What a file is."), (3, "Names."), (6, "Whose.")].map(|(at, text)| (at, text.to_owned())));
    for pointing in [
        "What is said.",
        "What",
        "It's here.",
        "The same.",
        "The same connections.",
        "One more.",
        "By which token.",
        "Up to where all is sent.",
        "Since when.",
        "Of it.",
        "Another method.",
    ] {
        assert!(points_elsewhere(pointing), "{pointing}");
    }
    for naming in [
        "Whatever comes.",
        "Items.",
        "`What` is a word.",
        "The sameness.",
        "The place.",
        "By token.",
        "Of a `reply`: its ref.",
        "Ones.",
        "In one commit.",
        "Whether it is there.",
        "Up to 30 characters.",
        "Itself.",
        "",
    ] {
        assert!(!points_elsewhere(naming), "{naming}");
    }
}

#[test]
fn an_excuse_holds_only_while_it_is_needed() {
    let found = [("a/x.rs", "What."), ("b/y.rs", "Items.")].map(|(path, text)| Opening {
        path: path.to_owned(),
        line: 7,
        text: text.to_owned(),
    });
    assert_eq!(broken(&found, &[("What.", "a word")]), Vec::<String>::new());
    let told = broken(&found, &[("Items.", "no pointer"), ("Who.", "gone")]);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with("a/x.rs:7 opens") && told[1].starts_with("`Items.`") && told[2].starts_with("`Who.`"));
}
