//! Columns of what is read as text: documents and comments.

use super::{assert_none, files_under, root, shown};

/// Columns of a line.
const COLUMNS_MAX: usize = 120;

/// Lines of `text` that are too long and could be broken, as numbers with their columns. `comments`: only those count.
/// Code in fences and rows of tables stay as they are, and so does a word that is longer than a line.
fn long(text: &str, comments: bool) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        let comment = line.trim_start().strip_prefix("//").map(|rest| rest.trim_start_matches(['/', '!']));
        let Some(words) = (if comments { comment } else { Some(line) }).map(str::trim) else { continue };
        if words.starts_with("```") {
            fenced = !fenced;
        }
        let columns = line.chars().count();
        let is_breakable = words.trim_start_matches(['-', '*', ' ']).contains(' ') && !words.starts_with('|');
        if columns > COLUMNS_MAX && is_breakable && !fenced {
            found.push((number + 1, columns));
        }
    }
    found
}

#[test]
fn lines_of_documents_and_comments_are_short() {
    let folders = ["src", "crates", "tests", "examples", "fuzz"];
    let top = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let below = ["docs", "deploy", "sdk", "examples"].iter().flat_map(|folder| files_under(folder, ".md"));
    let documents = top.filter(|path| path.extension().is_some_and(|extension| extension == "md")).chain(below);
    let sources = folders.iter().flat_map(|folder| files_under(folder, ".rs")).chain([root().join("main.rs")]);
    let mut broken = Vec::new();
    for (path, comments) in documents.map(|path| (path, false)).chain(sources.map(|path| (path, true))) {
        let text = std::fs::read_to_string(&path).unwrap();
        for (line, columns) in long(&text, comments) {
            broken.push(format!("{}:{line} has {columns} columns of {COLUMNS_MAX}: break the line", shown(&path)));
        }
    }
    assert_none(&broken);
}

#[test]
fn lines_that_can_be_broken_are_told_from_those_that_cannot() {
    let words = "word ".repeat(30);
    let word = "x".repeat(130);
    let text = format!("{words}\n- {word}\n| {words}|\n```\n{words}\n```\n{words}\n    // {words}\n");
    let lines = |comments| long(&text, comments).into_iter().map(|(line, _)| line).collect::<Vec<_>>();
    assert_eq!(lines(false), [1, 7, 8]);
    assert_eq!(lines(true), [8]);
}
