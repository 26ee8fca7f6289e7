//! Things that the documents promise exist: files, `make` targets, commands and their options, settings.

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use fanfare::config::Settings;
use fanfare_commands::args::CommandLine;

use super::{assert_none, files_under, root, shown};

/// Beginnings of paths of this project in a document.
const FOLDERS: [&str; 12] =
    ["src/", "crates/", "tests/", "docs/", "deploy/", "fuzz/", "scripts/", "sdk/", "web/", ".ci/", "examples/", "./"];

/// A piece of a document that is set as code, with its line.
struct Code {
    line: usize,
    text: String,
}

fn documents() -> Vec<(PathBuf, String)> {
    let top = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let top = top.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let all = top.chain(files_under("docs", ".md")).chain(files_under("deploy", ".md"));
    all.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// Code spans, and lines of fenced blocks.
fn code_in(text: &str) -> Vec<Code> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            found.push(Code { line: number + 1, text: line.trim().to_owned() });
        } else {
            let spans = line.split('`').skip(1).step_by(2);
            found.extend(spans.map(|span| Code { line: number + 1, text: span.to_owned() }));
        }
    }
    found
}

/// Targets of Markdown links and images.
fn links_in(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets
        .filter(|target| !target.contains("://") && !target.starts_with(['#', '/']))
        .map(|target| target.split(['#', ' ']).next().unwrap_or_default().to_owned())
        .collect()
}

/// The words of every command in `text` that begins with `program`, after a prompt, a variable or a pipe too.
fn commands<'a>(text: &'a str, program: &str) -> Vec<Vec<&'a str>> {
    let mut found = Vec::new();
    for command in text.split(['|', ';']).flat_map(|part| part.split("&&")) {
        let command = command.split(" #").next().unwrap_or_default();
        let words: Vec<&str> =
            command.split_whitespace().skip_while(|word| *word == "$" || is_assignment(word)).collect();
        let after = words
            .split_first()
            .filter(|(first, _)| first.rsplit('/').next() == Some(program))
            .map(|(_, rest)| rest.to_vec());
        let cargo = || {
            let run = words.first() == Some(&"cargo") && words.get(1) == Some(&"run") && program == "fanfare";
            run.then(|| words.iter().skip_while(|word| **word != "--").skip(1).copied().collect())
        };
        found.extend(after.or_else(cargo));
    }
    found
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
}

#[test]
fn paths_in_documents_exist() {
    let mut broken = Vec::new();
    for (document, text) in documents() {
        let place = shown(&document);
        for Code { line, text } in code_in(&text) {
            for word in text.split_whitespace().map(|word| word.trim_matches([',', '.', ':', ';', '"', '\'', '(', ')']))
            {
                let path = word.split("::").next().unwrap_or_default();
                let plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte));
                let ours = FOLDERS.iter().any(|folder| path.starts_with(folder) && *folder != "./");
                if plain && ours && !root().join(path).exists() {
                    broken.push(format!("{place}:{line} names `{path}`, which is not there"));
                }
            }
        }
        for link in links_in(&text).into_iter().filter(|link| !link.is_empty()) {
            if !document.parent().unwrap_or(Path::new("")).join(&link).exists() {
                broken.push(format!("{place} links to {link}, which is not there"));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn make_targets_in_documents_exist() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let known = |target: &str| makefile.lines().any(|line| line.starts_with(&format!("{target}:")));
    let mut broken = Vec::new();
    for (document, text) in documents() {
        for Code { line, text } in code_in(&text) {
            for target in commands(&text, "make")
                .into_iter()
                .flatten()
                .filter(|word| !word.contains('=') && !word.starts_with('-'))
            {
                if !known(target) {
                    broken.push(format!("{}:{line} names `make {target}`, which is no target", shown(&document)));
                }
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn commands_in_documents_exist() {
    let command_line = CommandLine::command();
    let mut broken = Vec::new();
    for (document, text) in documents() {
        for Code { line, text } in code_in(&text) {
            for words in commands(&text, "fanfare") {
                let Some(name) = words.first().filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())) else {
                    continue;
                };
                let place = format!("{}:{line}", shown(&document));
                let Some(command) = command_line.find_subcommand(name) else {
                    broken.push(format!("{place} names `fanfare {name}`, which is no command"));
                    continue;
                };
                // Commands of commands: what is behind one may take the options of each of them.
                let mut commands = vec![command];
                for word in words.iter().skip(1) {
                    commands.extend(commands.last().and_then(|command| command.find_subcommand(word)));
                }
                let options = words
                    .iter()
                    .filter_map(|word| word.trim_start_matches('[').trim_end_matches(']').strip_prefix("--"));
                for option in options
                    .map(|option| option.split('=').next().unwrap_or_default())
                    .filter(|option| !option.is_empty())
                {
                    let mut arguments = commands.iter().flat_map(|command| command.get_arguments());
                    if option != "help" && !arguments.any(|argument| argument.get_long() == Some(option)) {
                        broken.push(format!("{place} names `fanfare {name} --{option}`, which is no option"));
                    }
                }
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn variables_in_documents_are_settings() {
    let mut broken = Vec::new();
    for (document, text) in documents() {
        for part in text.split("FANFARE__").skip(1) {
            let name: String =
                part.chars().take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_').collect();
            if name.is_empty() || name == "SECTION__KEY" {
                continue;
            }
            let (section, key) = name.split_once("__").unwrap_or((&name, ""));
            let example = Settings::example();
            let keys =
                example.split("\n[").find(|part| part.starts_with(&format!("{}]", section.to_ascii_lowercase())));
            let key = key.to_ascii_lowercase();
            let known = keys.is_some_and(|keys| {
                keys.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} =")))
            });
            if !known {
                broken.push(format!("{} names FANFARE__{name}, which is no setting", shown(&document)));
            }
        }
    }
    assert_none(&broken);
}

/// Merges join lists of several hands: what stands below a heading that comes twice, or below another's, is not found.
#[test]
fn the_changelog_has_each_heading_once_a_version() {
    let changelog = std::fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let mut broken = Vec::new();
    for version in changelog.split("\n## ").skip(1) {
        let mut seen = std::collections::BTreeSet::new();
        for heading in version.lines().filter_map(|line| line.strip_prefix("### ")) {
            if !["Added", "Changed", "Fixed", "Breaking"].contains(&heading) || !seen.insert(heading) {
                let version = version.lines().next().unwrap_or_default();
                broken.push(format!("CHANGELOG.md: `{heading}` of {version} is no heading, or comes twice"));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn what_every_clone_needs_is_there() {
    let files = [
        "LICENSE",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "Cargo.lock",
        "Makefile",
        ".ci/run",
        "scripts/setup",
        ".editorconfig",
    ];
    let missing = files.iter().filter(|file| !root().join(file).is_file()).map(|file| format!("{file} is missing"));
    assert_none(&missing.collect::<Vec<_>>());
}

#[test]
fn commands_are_found_after_prompts_variables_and_pipes() {
    assert_eq!(commands("$ A=1 ./fanfare serve --x # why", "fanfare"), [["serve", "--x"]]);
    assert_eq!(commands("cargo run --release -- demo", "fanfare"), [["demo"]]);
    assert_eq!(commands("make test && make lint", "make"), [["test"], ["lint"]]);
    assert!(commands("cargo build", "fanfare").is_empty());
}
