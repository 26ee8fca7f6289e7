//! Output of commands to who called them. A reader that has gone, as `head` goes, is no failure, and nobody panics as
//! `println!` would.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Writes a line to standard output; false when nobody reads it any more.
///
/// # Errors
/// When it cannot be written for another reason, such as a full disk.
pub fn say(line: impl Display) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes a line to standard error, as progress and failures are; where it cannot be written there is nobody to tell.
pub fn note(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
