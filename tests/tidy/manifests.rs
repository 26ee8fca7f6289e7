//! Dependencies in the manifests: all are used, and none needs a newer Rust than they name.
//!
//! That a library uses its dependencies the compiler knows: every crate asks it to say so, and `lint` makes an error of
//! that. What only tests and examples use, the compiler cannot tell, and is looked for here by name.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use toml::Table;

use super::lexer::{code_only, is_word};
use super::{assert_none, files_under, root, shown};

/// Question of every crate's root to the compiler.
const ASKS: &str = "#![cfg_attr(not(test), warn(unused_crate_dependencies))]";

/// Answer of `cargo metadata` about everything that is built on this platform: nothing has to be downloaded for it.
pub fn metadata() -> Value {
    let cargo = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let version = cargo(&["-vV"]);
    let platform = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let arguments = ["metadata", "--format-version", "1", "--locked", "--all-features", "--filter-platform", platform];
    serde_json::from_str(&cargo(&arguments)).unwrap()
}

/// The packages of [`metadata`] that are used.
pub fn used_packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    let used: Vec<&Value> = metadata["resolve"]["nodes"].as_array().unwrap().iter().map(|node| &node["id"]).collect();
    metadata["packages"].as_array().unwrap().iter().filter(move |package| used.contains(&&package["id"]))
}

fn manifest(path: &Path) -> Table {
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

/// The workspace's own manifest, and those of its members.
fn manifests() -> Vec<(PathBuf, Table)> {
    let own = manifest(&root().join("Cargo.toml"));
    let members = own["workspace"]["members"].as_array().unwrap().iter().map(|member| member.as_str().unwrap());
    let paths: Vec<PathBuf> = members.map(|member| root().join(member).join("Cargo.toml")).collect();
    let members = paths.into_iter().map(|path| (path.clone(), manifest(&path)));
    [(root().join("Cargo.toml"), own.clone())].into_iter().chain(members).collect()
}

fn names(manifest: &Table, section: &str) -> Vec<String> {
    manifest
        .get(section)
        .and_then(|table| table.as_table())
        .into_iter()
        .flat_map(|table| table.keys().cloned())
        .collect()
}

/// Whether `code` names the crate of a dependency: at the head of a path, or in a `use`.
fn names_crate(code: &str, dependency: &str) -> bool {
    let name = dependency.replace('-', "_");
    code.match_indices(&name).any(|(at, _)| {
        let (before, after) = (&code[..at], code[at + name.len()..].trim_start());
        let whole = !before.as_bytes().last().is_some_and(|byte| is_word(*byte)) && !before.ends_with("::");
        let used = before.trim_end().ends_with("use") && (after.starts_with(';') || after.starts_with("as "));
        whole && (after.starts_with("::") || used)
    })
}

fn code_in(folders: &[PathBuf]) -> Vec<String> {
    let files = folders.iter().flat_map(|folder| files_under(&shown(folder), ".rs"));
    files.map(|file| code_only(&std::fs::read_to_string(file).unwrap())).collect()
}

#[test]
fn every_crate_asks_for_dependencies_that_it_does_not_use() {
    let mut broken = Vec::new();
    for (path, _) in manifests() {
        let folder = path.parent().unwrap();
        let found =
            ["lib.rs", "src/lib.rs", "main.rs"].map(|file| folder.join(file)).into_iter().find(|file| file.exists());
        let file = found.unwrap_or_else(|| panic!("{} has no lib.rs and no main.rs", shown(folder)));
        if !std::fs::read_to_string(&file).unwrap().lines().any(|line| line == ASKS) {
            broken.push(format!("{} does not say {ASKS}", shown(&file)));
        }
    }
    assert_none(&broken);
}

#[test]
fn what_tests_depend_on_they_use() {
    let mut broken = Vec::new();
    for (path, manifest) in manifests() {
        let folder = path.parent().unwrap();
        // Tests of a library stand in it; those of the workspace's own package run the bodies of the fuzz targets too.
        let mut folders: Vec<PathBuf> = ["tests", "examples", "benches"].map(|part| folder.join(part)).into();
        folders.push(if folder == root() { root().join("fuzz/bodies") } else { folder.to_owned() });
        let codes = code_in(&folders);
        for name in names(&manifest, "dev-dependencies") {
            if !codes.iter().any(|code| names_crate(code, &name)) {
                broken.push(format!("{}: no test and no example uses {name}", shown(&path)));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn what_the_fuzz_targets_depend_on_they_use() {
    let path = root().join("fuzz/Cargo.toml");
    let mut codes = code_in(&[root().join("fuzz")]);
    // Modules of the server that a target compiles by itself.
    for target in files_under("fuzz", ".rs") {
        let text = std::fs::read_to_string(&target).unwrap();
        for module in text.split("#[path = \"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let file = root().join(module.trim_start_matches("../"));
            if file.exists() {
                codes.push(code_only(&std::fs::read_to_string(&file).unwrap()));
            }
            if file.file_name().is_some_and(|name| name == "mod.rs") {
                codes.extend(code_in(&[file.parent().unwrap().to_owned()]));
            }
        }
    }
    let unused = names(&manifest(&path), "dependencies").into_iter();
    let unused = unused.filter(|name| !codes.iter().any(|code| names_crate(code, name)));
    assert_none(&unused.map(|name| format!("fuzz/Cargo.toml: no target uses {name}")).collect::<Vec<_>>());
}

#[test]
fn what_the_workspace_names_its_members_use() {
    let manifests = manifests();
    let shared = manifests[0].1["workspace"]["dependencies"].as_table().unwrap();
    let used = |name: &&String| {
        let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
        manifests.iter().any(|(_, manifest)| sections.iter().any(|section| names(manifest, section).contains(name)))
    };
    let unused = shared.keys().filter(|name| !used(name));
    assert_none(&unused.map(|name| format!("Cargo.toml: no member uses {name}")).collect::<Vec<_>>());
}

/// Major, minor and patch of a version of Rust, as manifests write it.
fn rust(version: &str) -> Vec<u64> {
    let mut parts: Vec<u64> = version.split('.').map(|part| part.parse().unwrap()).collect();
    parts.resize(3, 0);
    parts
}

#[test]
fn no_dependency_needs_a_newer_rust_than_the_manifest_names() {
    let own = manifest(&root().join("Cargo.toml"));
    let oldest = own["workspace"]["package"]["rust-version"].as_str().unwrap();
    let metadata = metadata();
    let newer = used_packages(&metadata).filter_map(|package| {
        let needs = package["rust_version"].as_str()?;
        (rust(needs) > rust(oldest)).then(|| {
            format!("{} {} needs Rust {needs}, and Cargo.toml names {oldest}", package["name"], package["version"])
        })
    });
    assert_none(&newer.collect::<Vec<_>>());
}

#[test]
fn crates_are_found_by_name() {
    for code in
        ["use serde_json::Value;", "let x = serde_json::json!({});", "use serde_json as json;", "use serde_json;"]
    {
        assert!(names_crate(code, "serde-json"), "{code}");
    }
    for code in ["use my_serde_json::Value;", "use x::serde_json::Value;", "serde_json: u8", "serde_jsonx::y()"] {
        assert!(!names_crate(code, "serde-json"), "{code}");
    }
    assert!(rust("1.95") > rust("1.88.2"));
    assert!(rust("1.95") == rust("1.95.0"));
}
