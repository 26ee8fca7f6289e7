//! Release builds carry no debug information: it goes into a file beside the binary (`scripts/split-debug`), so that
//! `cargo build --release` alone gives a small binary and backtraces that name lines.
//!
//! GCC runs the linker under the script. Where the linker is driven by something else, or `objcopy` is missing, the
//! binary keeps what it has.

use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

const SCRIPT: &str = "scripts/split-debug";

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={SCRIPT}");
    let given = |name: &str| env::var(name).unwrap_or_default();
    let release = given("PROFILE") == "release" && given("DEBUG") != "false";
    let native = given("TARGET") == given("HOST") && given("CARGO_CFG_TARGET_OS") == "linux";
    if !release || !native {
        return Ok(());
    }
    let linker = env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".to_owned());
    if speaks(&linker, "-v", "gcc version") && speaks("objcopy", "--version", "objcopy") {
        // Of the target folder's own: cargo remembers what is printed here, also for a checkout that has moved since.
        let script = Path::new(&given("OUT_DIR")).join("split-debug");
        fs::copy(SCRIPT, &script)?;
        println!("cargo:rustc-link-arg-bins=-wrapper");
        println!("cargo:rustc-link-arg-bins={}", script.display());
    } else {
        println!("cargo:warning=the debug information stays in the binary: splitting it takes gcc and objcopy");
    }
    Ok(())
}

/// Whether `program` is there and says `word` when it is asked with `option`.
fn speaks(program: &str, option: &str, word: &str) -> bool {
    let said = Command::new(program).arg(option).env("LC_ALL", "C").output();
    said.is_ok_and(|said| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(word);
        text(&said.stdout) || text(&said.stderr)
    })
}
