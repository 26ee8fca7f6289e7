//! Runs `../bodies/picture.rs` under libFuzzer. What strips pictures is compiled here by itself, so that a build takes
//! seconds.
#![no_main]

#[path = "../bodies/picture.rs"]
mod body;
#[allow(dead_code)]
#[path = "../../src/base/limits/mod.rs"]
mod limits;
#[allow(dead_code, unused_imports)]
#[path = "../../src/media/strip/mod.rs"]
mod strip;

/// The lowest room, as far as pictures know it.
mod base {
    pub(crate) use super::limits;
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
