//! `fanfare config`: the settings file that teaches, or a check of one.

use std::io::{self, Write as _};

use super::Failure;
use super::args::ConfigArgs;
use crate::config::Settings;

pub(super) fn run(args: &ConfigArgs) -> Result<(), Failure> {
    let text = match &args.check {
        None => Settings::example(),
        Some(file) => {
            Settings::load(Some(file), std::env::vars_os())?;
            format!("{} and the environment are fine\n", file.display())
        }
    };
    match io::stdout().write_all(text.as_bytes()) {
        // Who pipes into `head` has read enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
