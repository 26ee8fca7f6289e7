//! House rules that a program can hold. A rule that fails names the file, the line and what to do.
//!
//! `source`, `layout` and `public` look at the code, `words` at its comments, `layers` and `drawing` at which room
//! imports which, `documents`, `tables` and `capability` at what the documents promise, `help` at what the commands'
//! help does, `manifests` and `licences` at the dependencies, `columns` at lines that are read, `commits` at the
//! history.

#![allow(clippy::unwrap_used, reason = "a file that cannot be read is a failed test")]

mod capability;
mod columns;
mod commits;
mod documents;
mod drawing;
mod help;
mod layers;
mod layout;
mod lexer;
mod licences;
mod manifests;
mod public;
mod source;
mod tables;
mod words;

use std::path::{Path, PathBuf};

/// The folder of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files under `folder` (relative to the workspace) whose names end in `suffix`, without what builds leave behind.
fn files_under(folder: &str, suffix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
                folders.push(path);
            } else if name.ends_with(suffix) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The path as the messages show it.
fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Fails with one line for each broken rule.
fn assert_none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}
