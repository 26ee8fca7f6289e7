//! Runs `../bodies/client_frame.rs` under libFuzzer.
#![no_main]

#[path = "../bodies/client_frame.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
