//! Runs `../bodies/text.rs` under libFuzzer. The parser is compiled here by itself, so that a build takes seconds.
#![no_main]

#[path = "../bodies/text.rs"]
mod body;
#[allow(dead_code)]
#[path = "../../src/base/handle.rs"]
mod handle;
#[allow(dead_code)]
#[path = "../../src/base/id.rs"]
mod id;
#[allow(dead_code)]
#[path = "../../src/base/text.rs"]
mod plain;
#[allow(dead_code)]
#[path = "../../src/base/limits/mod.rs"]
mod limits;
#[allow(dead_code, unused_imports)]
#[path = "../../src/posts/text/mod.rs"]
mod text;

/// The lowest room, as far as the parser knows it.
mod base {
    pub(crate) use super::plain as text;
    pub(crate) use super::{handle, id, limits};
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
