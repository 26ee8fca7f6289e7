//! Results of a release build: a small binary, and its debug information in a file beside it, which backtraces find.
//!
//! Tried on a package of a few lines with this one's `build.rs`, script and release profile: building this one takes
//! minutes.

#![allow(clippy::unwrap_used, reason = "what cannot be started is a failed test")]

use std::fs;
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
    let this = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: toml::Table = fs::read_to_string(this.join("Cargo.toml")).unwrap().parse().unwrap();
    let mut package: toml::Table = "package = { name = 'small', edition = '2024' }\nworkspace = {}".parse().unwrap();
    package.insert("profile".to_owned(), manifest["profile"].clone());
    let folder = tempfile::tempdir().unwrap();
    let inside = |path: &str| folder.path().join(path);
    fs::create_dir_all(inside("checkout/src")).unwrap();
    fs::create_dir(inside("checkout/scripts")).unwrap();
    fs::write(inside("checkout/Cargo.toml"), package.to_string()).unwrap();
    fs::write(inside("checkout/src/main.rs"), PROGRAM.trim_start()).unwrap();
    for file in ["build.rs", "scripts/split-debug"] {
        fs::copy(this.join(file), inside("checkout").join(file)).unwrap();
    }
    let build = |checkout: &str| {
        let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
        cargo.args(["build", "--release", "--offline"]).current_dir(inside(checkout));
        run(cargo.env("CARGO_TARGET_DIR", inside("target")).env_remove("RUSTC_WRAPPER"));
    };
    build("checkout");
    // The target folder stays, the checkout goes elsewhere and is changed.
    fs::rename(inside("checkout"), inside("moved")).unwrap();
    fs::write(inside("moved/src/main.rs"), format!("{}\n", PROGRAM.trim_start())).unwrap();
    build("moved");

    let (small, debug) = (inside("target/release/small"), inside("target/release/small.debug"));
    let sections = run(Command::new("objdump").arg("--section-headers").arg(&small));
    assert!(sections.contains(".gnu_debuglink") && !sections.contains(".debug_line"), "{sections}");
    assert!(fs::metadata(&debug).unwrap().len() > fs::metadata(&small).unwrap().len());
    let said = backtrace(&small);
    assert!(said.contains("innermost") && said.contains("main.rs:3"), "{said}");

    // It is that file which the names come from; the place of the panic is said in any case.
    fs::rename(&debug, inside("elsewhere")).unwrap();
    let said = backtrace(&small);
    assert!(!said.contains("innermost") && said.contains("main.rs:3"), "{said}");
}
