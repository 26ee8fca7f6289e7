//! The binary: parses the command line, runs one command, and turns its failure into a line and an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use fanfare::commands::{self, args::CommandLine};

/// Feeds allocate and free small things from many threads; mimalloc keeps that local.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match commands::run(CommandLine::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            commands::output::note(format_args!("fanfare: {failure}"));
            failure.exit_code()
        }
    }
}
