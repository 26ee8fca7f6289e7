//! The floors of `src/`: a room imports rooms on lower floors and no others, so that there is no cycle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::source::without_tests;
use super::{assert_none, files_under, root, shown};

/// Floors from the lowest to the highest. Rooms of one floor do not know each other.
pub const FLOORS: &[&[&str]] = &[
    &["base"],
    &["config"],
    &["data"],
    &["log"],
    &["http"],
    &["realtime"],
    &["markers", "media", "users"],
    &["follows", "links"],
    &["posts"],
    &["chat", "feed", "notifications"],
    &["live", "reports"],
    &["admin", "frames", "janitor", "nodes"],
    &["app"],
    &["routes", "serve"],
    &["demo", "import"],
];

/// Imports that go up and are still to be turned round, as (room, room, reason); an entry that nothing needs fails.
const EXCUSED: &[(&str, &str, &str)] = &[];

/// Files that are above all floors: the crate's map and its program.
const ABOVE: [&str; 2] = ["lib", "main"];

/// Places where a room imports another, as `file:line`, by (importing room, imported room).
pub type Imports = BTreeMap<(String, String), Vec<String>>;

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// Names that follow `crate::` in `rest`: one, or the first of each path of a group.
fn imported(rest: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = rest.trim_start().strip_prefix('{') else { return vec![word(rest)] };
    let (mut depth, mut begins, mut found) = (0, true, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            c if begins && !c.is_whitespace() => {
                found.push(word(&group[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    found
}

/// Rooms that the code of one file imports, with lines. `depth`: names in the file's own path, for a `super::` more
/// than leads out of the room.
fn rooms_in(code: &str, depth: usize) -> Vec<(String, usize)> {
    let up = "super::".repeat(depth);
    let mut found = Vec::new();
    for path in ["crate::", &up] {
        for (at, _) in code.match_indices(path) {
            let begins = |before: char| !(before.is_ascii_alphanumeric() || matches!(before, '_' | ':'));
            if code[..at].chars().next_back().is_none_or(begins) {
                let line = code[..at].matches('\n').count() + 1;
                found.extend(imported(&code[at + path.len()..]).into_iter().map(|room| (room, line)));
            }
        }
    }
    found
}

/// Names in the path of the module that a file below `src/` is.
fn depth_of(inside: &Path) -> usize {
    let whole = inside.components().count();
    if inside.file_name().is_some_and(|name| name == "mod.rs") { whole - 1 } else { whole }
}

/// Imports between rooms, and the rooms.
pub fn imports() -> (Imports, BTreeSet<String>) {
    let (mut imports, mut rooms) = (Imports::new(), BTreeSet::new());
    for (path, code) in without_tests("src") {
        let inside = path.strip_prefix(root().join("src")).unwrap();
        let room = inside.components().next().unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
        if ABOVE.contains(&room.as_str()) {
            continue;
        }
        for (other, line) in rooms_in(&code, depth_of(inside)).into_iter().filter(|(other, _)| *other != room) {
            imports.entry((room.clone(), other)).or_default().push(format!("{}:{line}", shown(&path)));
        }
        rooms.insert(room);
    }
    (imports, rooms)
}

#[test]
fn rooms_import_lower_floors_only() {
    let mut broken = Vec::new();
    let (imports, _) = imports();
    let excused = |room: &str, other: &str| EXCUSED.iter().any(|(from, to, _)| (*from, *to) == (room, other));
    for ((room, other), places) in &imports {
        let (Some(floor), Some(below)) = (floor_of(room), floor_of(other)) else { continue };
        if below >= floor && !excused(room, other) {
            broken.push(format!("{} imports `{other}`, which is not below `{room}`", places.join(", ")));
        }
    }
    for (path, code) in without_tests("src") {
        if code.contains("crate as ") {
            broken.push(format!("{} renames the crate, which hides what is imported", shown(&path)));
        }
    }
    for (room, other, reason) in EXCUSED {
        let up = floor_of(other) >= floor_of(room);
        if !up || !imports.contains_key(&((*room).to_owned(), (*other).to_owned())) {
            broken.push(format!("{room} → {other} is excused ({reason}) and need not be"));
        }
    }
    assert_none(&broken);
}

/// Rows are read and written by `data`; the write path commits them with its records, and so does the counter of
/// clicks, which is the end of a write path of its own.
#[test]
fn engines_of_rows_are_held_by_the_lowest_floors_only() {
    let mut broken = Vec::new();
    // What arrives from another partition is decided on rows as they are, not on caches.
    let holders = ["src/data/", "src/log/", "src/links/clicks/", "src/follows/arrival.rs"];
    for (path, code) in without_tests("src").into_iter().map(|(path, code)| (shown(&path), code)) {
        let dense: String = code.split_whitespace().collect();
        let names = ["engines.tables", "dynTables"].into_iter().find(|name| dense.contains(name));
        if let Some(name) = names.filter(|_| !holders.iter().any(|holder| path.starts_with(holder))) {
            broken.push(format!("{path} names `{name}`: read and write rows by data::store"));
        }
    }
    assert_none(&broken);
}

#[test]
fn every_room_has_a_floor_and_every_floor_its_rooms() {
    let (imports, rooms) = imports();
    let named: Vec<&str> = FLOORS.iter().flat_map(|rooms| rooms.iter().copied()).collect();
    let homeless = rooms.iter().filter(|room| !named.contains(&room.as_str()));
    let mut broken: Vec<String> = homeless.map(|room| format!("src/{room} has no floor in FLOORS")).collect();
    let empty = named.iter().filter(|name| !rooms.contains(**name));
    broken.extend(empty.map(|name| format!("FLOORS names {name}, which is not in src/")));
    // Otherwise an import through another name would pass unseen.
    let strangers = imports.iter().filter(|((_, other), _)| !rooms.contains(other));
    broken.extend(strangers.map(|((_, other), places)| format!("{} imports `{other}`, no room", places.join(", "))));
    let again = named.iter().enumerate().filter(|(at, name)| named[..*at].contains(name));
    broken.extend(again.map(|(_, name)| format!("FLOORS names {name} twice")));
    assert_none(&broken);
}

/// Rows of the table under "The floors", from the lowest to the highest.
fn floors_of(document: &str) -> Vec<Vec<String>> {
    let section = document.split("\n## The floors\n").nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let names = |row: &str| {
        let cell = row.split('|').nth(1).unwrap_or_default();
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let mut floors: Vec<Vec<String>> = rows.map(names).collect();
    floors.reverse();
    floors
}

#[test]
fn the_document_shows_the_same_floors() {
    let document = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let floors: Vec<Vec<String>> =
        FLOORS.iter().map(|rooms| rooms.iter().map(|room| (*room).to_owned()).collect()).collect();
    assert_eq!(floors_of(&document), floors, "ARCHITECTURE.md, \"The floors\", top row first");
}

#[test]
fn imports_are_found_in_every_form() {
    let rooms = |code: &str| rooms_in(code, 2).into_iter().map(|(room, _)| room).collect::<Vec<_>>();
    assert_eq!(rooms("use crate::data::tables;"), ["data"]);
    assert_eq!(rooms("pub use crate::{admin::http, feed::{Feed, Slot}, users};"), ["admin", "feed", "users"]);
    assert_eq!(rooms("let id = crate::base::id::hour_of(x); mycrate::log();"), ["base"]);
    assert_eq!(rooms("pub(in crate::posts) fn f() {}"), ["posts"]);
    assert_eq!(rooms("use super::super::feed::Feed; super::own(); use super::{super_of, own};"), ["feed"]);
    assert_eq!(
        ["users/mod.rs", "users/http.rs", "users/service/jwts.rs"].map(|path| depth_of(Path::new(path))),
        [1, 2, 3]
    );
}

#[test]
fn files_are_read_without_their_tests() {
    assert!(files_under("src", ".rs").len() > without_tests("src").len(), "test files are among them");
    let lines = |code: &str| rooms_in(code, 2).into_iter().map(|(_, line)| line).collect::<Vec<_>>();
    assert_eq!(lines("\n\nuse crate::data;\nuse crate::log;"), [3, 4]);
}
