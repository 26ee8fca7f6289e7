//! The binary: parses the command line, runs one command, and turns its failure into a line and an exit code.

#![cfg_attr(not(test), warn(unused_crate_dependencies))]

use std::process::ExitCode;

use clap::Parser as _;
use fanfare::base::output;
use fanfare_commands::args::CommandLine;

/// Feeds allocate and free small things from many threads; mimalloc keeps that local.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match fanfare_commands::run(CommandLine::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::note(format_args!("fanfare: {failure}"));
            failure.exit_code()
        }
    }
}
