//! Destination of log lines: standard error, as text or JSON, through a filter that can be changed while running.

use std::io::IsTerminal as _;
use std::str::FromStr;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// A filter of log lines that has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel(pub String);

impl FromStr for LogLevel {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        // A lone word that is no level would be taken for the name of a target, and then silence everything.
        let level = text.parse::<tracing::level_filters::LevelFilter>().is_ok();
        let filter = text.contains(['=', ',']) && tracing_subscriber::EnvFilter::try_new(text).is_ok();
        if level || filter { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// JSON, an object a line.
    Json,
}

impl LogFormat {
    /// Name in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl FromStr for LogFormat {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(()),
        }
    }
}

/// Changes the level while running.
#[derive(Debug, Clone)]
pub struct LogControl(reload::Handle<EnvFilter, Registry>);

impl LogControl {
    /// From now on only what passes `level` is written. Does nothing once the process ends.
    pub fn set(&self, level: &LogLevel) {
        if let Err(error) = self.0.reload(filter(level)) {
            tracing::warn!(%error, "the log level stays as it was");
        }
    }
}

/// The filter of a level. A lone level speaks of Fanfare: the storage library below tells its own steps at `info`.
fn filter(level: &LogLevel) -> EnvFilter {
    let lone = level.0.parse::<tracing::Level>().is_ok_and(|level| level >= tracing::Level::INFO);
    match lone {
        true => EnvFilter::new(format!("{},fjall=warn,lsm_tree=warn,hyper=warn,hyper_util=warn", level.0)),
        false => EnvFilter::new(&level.0),
    }
}

/// Begins to log. A line that cannot be written is lost: a reader of standard error that has gone stops nobody. A
/// process has one log: when there is one already it stays, and the control does nothing.
#[must_use]
pub fn start(level: &LogLevel, format: LogFormat) -> LogControl {
    let (filter, handle) = reload::Layer::new(filter(level));
    let registry = Registry::default().with(filter);
    let started = match format {
        LogFormat::Text => {
            let lines = fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
            let lines = lines.with_ansi(std::io::stderr().is_terminal());
            registry.with(lines).try_init()
        }
        LogFormat::Json => {
            let lines = fmt::layer().json().flatten_event(true).with_writer(std::io::stderr);
            registry.with(lines.log_internal_errors(false)).try_init()
        }
    };
    if let Err(error) = started {
        tracing::debug!(%error, "the log that was there first stays");
    }
    LogControl(handle)
}
