//! Runs `../bodies/opening.rs` under libFuzzer.
#![no_main]

#[path = "../bodies/opening.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
