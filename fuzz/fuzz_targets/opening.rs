//! Runs `../bodies/opening.rs` under libFuzzer. The codec is compiled here by itself, so that a build takes seconds.
#![no_main]

#[path = "../bodies/opening.rs"]
mod body;
#[allow(dead_code, unused_imports)]
#[path = "../../src/realtime/websocket/mod.rs"]
mod websocket;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
