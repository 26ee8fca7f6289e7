//! What a release build leaves: a small binary, and its debug information in a file beside it, which backtraces find.
//!
//! Tried on a program of a few lines, linked as `build.rs` has the binary linked: building that takes minutes.

#![allow(clippy::unwrap_used, reason = "what cannot be started is a failed test")]

use std::path::Path;
use std::process::{Command, Output};

const PROGRAM: &str = r#"
#[inline(never)]
fn innermost(nothing: &[u8], at: usize) -> u8 {
    nothing[at]
}

fn main() {
    println!("{}", innermost(&[], std::env::args().count()));
}
"#;

fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// The backtrace of the program's panic.
fn backtrace(program: &Path) -> String {
    let Output { status, stderr, .. } = Command::new(program).env("RUST_BACKTRACE", "1").output().unwrap();
    assert!(!status.success(), "it should have panicked");
    String::from_utf8(stderr).unwrap()
}

#[test]
fn debug_information_is_beside_the_binary_and_backtraces_find_it() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("small.rs");
    std::fs::write(&source, PROGRAM).unwrap();
    let deps = folder.path().join("deps");
    std::fs::create_dir(&deps).unwrap();
    let linked = deps.join("small-0123456789abcdef");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/split-debug");
    let mut rustc = Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned()));
    rustc.args(["-O", "-C", "debuginfo=line-tables-only", "-C", "link-arg=-wrapper", "-C"]);
    rustc.arg(format!("link-arg={}", script.display())).arg("-o").args([&linked, &source]);
    run(&mut rustc);
    let (shown, debug) = (folder.path().join("small"), folder.path().join("small.debug"));
    std::fs::hard_link(&linked, &shown).unwrap();

    let sections = run(Command::new("objdump").args(["--section-headers"]).arg(&shown));
    assert!(sections.contains(".gnu_debuglink") && !sections.contains(".debug_line"), "{sections}");
    assert!(std::fs::metadata(&debug).unwrap().len() > std::fs::metadata(&shown).unwrap().len());
    let said = backtrace(&shown);
    assert!(said.contains("innermost") && said.contains("small.rs:4"), "{said}");

    // It is that file which the names come from; the place of the panic is said in any case.
    std::fs::rename(&debug, folder.path().join("elsewhere")).unwrap();
    let said = backtrace(&shown);
    assert!(!said.contains("innermost") && said.contains("small.rs:4"), "{said}");
}

#[test]
fn the_release_profile_has_debug_information_to_split_off() {
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let release = &manifest["profile"]["release"];
    assert_eq!(release["debug"].as_str(), Some("line-tables-only"));
    assert!(release.get("strip").is_none(), "cargo would strip the binary before its debug information is split off");
}
