//! Layout of modules and their tests in files: one way for all.

use std::path::Path;

use super::source::{Source, sources, test_items};
use super::{assert_none, shown};

/// Names of files that are the module of their folder.
const OF_FOLDERS: [&str; 3] = ["mod", "lib", "main"];

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

/// A module of several files is a folder, with its head in `mod.rs` and its assets beside that.
#[test]
fn a_module_with_a_folder_is_in_the_folder() {
    let broken = |source: &Source| {
        let folder = source.path.with_extension("");
        let beside = folder.is_dir() && !OF_FOLDERS.contains(&&*stem(&source.path));
        beside
            .then(|| format!("{} stands beside its folder: move it to {}/mod.rs", shown(&source.path), shown(&folder)))
    };
    assert_none(&sources().iter().filter_map(broken).collect::<Vec<_>>());
}

/// Faults in how `source` declares its tests.
fn wrong(source: &Source) -> Vec<String> {
    let stem = stem(&source.path);
    let of_folder = OF_FOLDERS.contains(&&*stem);
    let place = shown(&source.path);
    let mut broken = Vec::new();
    for (start, end) in test_items(&source.code) {
        let (code, text) = (&source.code[start..end], &source.text[start..end]);
        let Some(name) = code.split_whitespace().skip_while(|word| *word != "mod").nth(1) else { continue };
        // Only a module under the attribute itself, and no item that holds one.
        if code.split_whitespace().take_while(|word| *word != "mod").any(|word| matches!(word, "fn" | "impl" | "use")) {
            continue;
        }
        let path = text.split("#[path = \"").nth(1).and_then(|rest| rest.split('"').next());
        let expected = format!("{stem}_tests.rs");
        let is_inline = code.trim_end().ends_with('}');
        if name.trim_end_matches([';', '{']) != "tests" {
            broken.push(format!("{place}: tests stand in a module `tests`, and not in `{name}`"));
        } else if of_folder && path.is_some() {
            broken.push(format!("{place}: the tests of a folder are its `tests.rs` or `tests/`, without a path"));
        } else if !of_folder && !is_inline && path != Some(&*expected) {
            broken.push(format!("{place}: its tests are below it, or in `{expected}` beside it"));
        }
    }
    broken
}

#[test]
fn tests_of_a_module_are_in_it_or_beside_it() {
    let of_crates = |source: &&Source| !source.for_tests;
    assert_none(&sources().iter().filter(of_crates).flat_map(wrong).collect::<Vec<_>>());
}

#[test]
fn ways_to_declare_tests_are_told_apart() {
    let source = |path: &str, text: &str| Source {
        path: super::root().join(path),
        text: text.to_owned(),
        code: super::lexer::code_only(text),
        for_tests: false,
    };
    for (path, text) in [
        ("src/x/ring.rs", "#[cfg(test)]\nmod tests {\n}\n"),
        ("src/x/ring.rs", "#[cfg(test)]\n#[path = \"ring_tests.rs\"]\nmod tests;\n"),
        ("src/x/mod.rs", "#[cfg(test)]\nmod tests;\n"),
        ("src/x/ring.rs", "#[cfg(test)]\nfn seam() { mod x {} }\n"),
    ] {
        assert_eq!(wrong(&source(path, text)), Vec::<String>::new(), "{text}");
    }
    for (path, text) in [
        ("src/x/ring.rs", "#[cfg(test)]\nmod ring_tests {\n}\n"),
        ("src/x/ring.rs", "#[cfg(test)]\n#[path = \"more.rs\"]\nmod tests;\n"),
        ("src/x/ring.rs", "#[cfg(test)]\nmod tests;\n"),
        ("src/x/mod.rs", "#[cfg(test)]\nmod old_tests;\n"),
        ("src/x/mod.rs", "#[cfg(test)]\n#[path = \"x_tests.rs\"]\nmod tests;\n"),
    ] {
        assert_eq!(wrong(&source(path, text)).len(), 1, "{text}");
    }
}
