//! The command line: `args` is what can be typed, each command has a file, and `run` tells them apart. It stands on the
//! server, its benchmarks and its client; `main.rs` of the workspace stands on it.
//!
//! Exit codes: 0 done, 1 failed, 2 the command line or the settings are wrong.

#![cfg_attr(not(test), warn(unused_crate_dependencies))]

mod admin;
mod admin_args;
mod ahead;
pub mod args;
mod bench;
mod config;
mod demo;
mod import;
mod openapi;
mod progress;
mod serve;
mod talk;
mod urls;
mod visits;

use std::process::ExitCode;

use args::{Command, Common};
use fanfare::base::data_dir;
use fanfare::base::error::Error;
use fanfare::config::{ConfigError, Settings};
use fanfare::serve::ServeError;

/// Why a command did not do what it was asked; one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line or the settings are wrong: nothing was begun.
    #[error("{0}")]
    Usage(String),
    /// Failure of what was begun.
    #[error("{0}")]
    Failed(String),
}

impl Failure {
    /// 1 or 2.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(_) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Setting(words) => Self::Usage(words),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Service(error) => error.into(),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Runs one command to its end.
///
/// # Errors
/// When it failed, or could not be begun.
pub fn run(command: Command) -> Result<(), Failure> {
    if matches!(command, Command::Serve(_) | Command::Demo(_) | Command::Import(_)) {
        data_dir::close_what_is_made();
    }
    match command {
        Command::Serve(args) => serve::run(&settings(&args.common, args.listen)?, args.accept_clock),
        Command::Demo(args) => demo::run(&settings(&args.common(), args.listen)?, &args),
        Command::Import(args) => import::run(&settings(&args.common, None)?, &args),
        Command::Admin(args) => admin::run(&settings(&args.common, None)?, args),
        Command::Bench(args) => bench::run(&args),
        Command::BenchClient => bench::client(),
        Command::Config(args) => config::run(&args),
        Command::Openapi => openapi::run(),
    }
}

/// Settings from file and environment, under what the command line says.
fn settings(common: &Common, listen: Option<std::net::SocketAddr>) -> Result<Settings, Failure> {
    let mut settings = Settings::load(common.config.as_deref(), std::env::vars_os())?;
    if let Some(data_dir) = &common.data_dir {
        settings.server.data_dir.clone_from(data_dir);
    }
    if let Some(listen) = listen {
        settings.http.listen = listen;
    }
    Ok(settings)
}

/// Runs `work` on as many threads as `server.workers` says.
fn block_on<T>(settings: &Settings, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if settings.server.workers > 0 {
        runtime.worker_threads(usize::from(settings.server.workers));
    }
    runtime.enable_all().build()?.block_on(work)
}
