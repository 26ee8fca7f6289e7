//! Promises of the commands' help hold: examples that parse, defaults that are defaults, calls, settings, files,
//! and no word of what is not built.

use clap::{Command, CommandFactory as _, Parser as _};
use fanfare::config::Settings;
use fanfare::{http, routes};
use fanfare_commands::args::CommandLine;

use super::{assert_none, root};

/// Words for what is designed but not built, and the calls that it would have.
const NOT_YET: [(&str, &str); 4] = [
    ("chat", "/v1/conversations"),
    ("conversation", "/v1/conversations"),
    ("live session", "/v1/live"),
    ("short link", "/v1/links"),
];

/// The help of every command that is shown, in full, with the name it is asked for by.
fn pages() -> Vec<(String, String)> {
    fn below(command: &mut Command, name: &str, pages: &mut Vec<(String, String)>) {
        pages.push((name.to_owned(), command.render_long_help().to_string()));
        for inner in command.get_subcommands_mut().filter(|inner| !inner.is_hide_set()) {
            let name = format!("{name} {}", inner.get_name());
            below(inner, &name, pages);
        }
    }
    let mut pages = Vec::new();
    below(&mut CommandLine::command(), "fanfare", &mut pages);
    pages
}

fn paths_of_the_api() -> Vec<String> {
    http::routes::document(routes::api()).paths.paths.into_keys().collect()
}

/// Words of an example, as a shell would hand them over: without variables before it and explanations, pipes and files
/// behind.
fn example(line: &str) -> Option<Vec<String>> {
    let line = line.trim();
    let command = line.split("   ").next().unwrap_or_default().split(['<', '>', '|']).next().unwrap_or_default();
    let mut words = Vec::new();
    // What stands between quotes is one word.
    for (number, part) in command.split('\'').enumerate() {
        match number % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    let words: Vec<String> = words.into_iter().skip_while(|word| word.contains('=')).collect();
    (words.first().map(String::as_str) == Some("fanfare")).then_some(words)
}

#[test]
fn examples_in_the_help_are_commands_that_parse() {
    let (mut broken, mut tried) = (Vec::new(), 0);
    for (name, page) in pages() {
        for words in page.lines().filter_map(example) {
            tried += 1;
            if let Err(error) = CommandLine::try_parse_from(words) {
                broken.push(format!("`{name} --help`: {error}"));
            }
        }
    }
    assert_none(&broken);
    assert!(tried > 15, "only {tried} examples were found");
}

#[test]
fn defaults_that_the_help_names_are_those_of_the_settings() {
    let example = Settings::example();
    let default_of = |setting: &str| {
        let (section, key) = setting.split_once('.')?;
        let keys = example.split("\n[").find(|part| part.starts_with(&format!("{section}]")))?;
        let value = keys.lines().find_map(|line| line.strip_prefix(&format!("{key} = ")))?;
        Some(value.trim_matches('"').to_owned())
    };
    let (mut broken, mut compared) = (Vec::new(), 0);
    for (name, page) in pages() {
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        for said in page.split("[default: ").skip(1).filter_map(|rest| rest.split(']').next()) {
            let Some((value, setting)) = said.split_once(", or ") else { continue };
            compared += 1;
            if default_of(setting).as_deref() != Some(value) {
                broken.push(format!("`{name} --help` says that {setting} is {value}: {:?}", default_of(setting)));
            }
        }
    }
    assert_none(&broken);
    assert!(compared >= 4, "only {compared} defaults were found");
}

#[test]
fn what_the_help_names_is_there() {
    let paths = paths_of_the_api();
    let served =
        |path: &str| paths.iter().any(|known| known == path) || ["/docs", "/docs/", "/openapi.json"].contains(&path);
    let settings = Settings::example();
    let mut broken = Vec::new();
    for (name, page) in pages() {
        for word in page.split(|c: char| c.is_whitespace() || "`(),;".contains(c)) {
            let word = word.trim_end_matches(['.', ':']);
            if word.starts_with("scripts/") && !root().join(word).is_file() {
                broken.push(format!("`{name} --help` names {word}, which is not there"));
            }
            if let Some((section, key)) =
                word.strip_prefix("FANFARE__").and_then(|rest| rest.split('=').next()?.split_once("__"))
            {
                let section =
                    settings.split("\n[").find(|part| part.starts_with(&format!("{}]", section.to_lowercase())));
                let key = format!("{} =", key.to_lowercase());
                if !section.is_some_and(|keys| keys.lines().any(|line| line.trim_start_matches("# ").starts_with(&key)))
                {
                    broken.push(format!("`{name} --help` names {word}, which is no setting"));
                }
            }
        }
        for called in page.split("GET ").skip(1).filter_map(|rest| rest.split_whitespace().next()) {
            if !served(called.trim_end_matches([',', '.', ';'])) {
                broken.push(format!("`{name} --help` names GET {called}, which is no call"));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn the_help_and_the_package_promise_nothing_that_is_not_built() {
    let paths = paths_of_the_api();
    let package = ("Cargo.toml".to_owned(), env!("CARGO_PKG_DESCRIPTION").to_owned());
    let mut broken = Vec::new();
    for (name, page) in pages().into_iter().chain([package]) {
        let page = page.to_lowercase();
        for (word, path) in NOT_YET {
            if page.contains(word) && !paths.iter().any(|known| known.starts_with(path)) {
                broken.push(format!("{name} speaks of `{word}`, and there is no {path}"));
            }
        }
    }
    assert_none(&broken);
}
