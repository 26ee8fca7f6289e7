//! Settings: one TOML file, every key of which can be overridden by environment `FANFARE__SECTION__KEY`.
//!
//! The first thing a command reads. `sections` holds every key with its words, default and range; here they are read,
//! checked against each other, and printed as an example. Unknown names are an error that names the nearest known one.

mod chat;
mod links;
mod sections;
mod value;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

pub use chat::ChatDeletion;
pub use links::ClickForm;
pub use sections::{
    Api, Auth, Chat, Cluster, Feed, Http, LARGEST, Links, Live, Log, Media, Metrics, Notifications, Posts, Realtime,
    Server, Storage, Users,
};
use sections::{Given, Key, Section};
pub use value::{BaseUrl, JwksUrl, ListenAddress, Origin, Scheme, Secret, Subnet};

/// Prefix of the names of environment variables.
const PREFIX: &str = "FANFARE__";
/// Characters of a refused value that a message quotes.
const QUOTED_CHARS_MAX: usize = 60;

/// Why there are no settings; each is one line that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read ({reason}); name another file with --config", file.display())]
    Unreadable { file: PathBuf, reason: String },
    /// The file is not TOML.
    #[error("{place}: {reason}")]
    Syntax { place: String, reason: String },
    /// No such key or section.
    #[error("{place}: there is no setting `{name}`; did you mean `{nearest}`? `fanfare config` lists all")]
    Unknown { place: String, name: String, nearest: String },
    /// The value is of the wrong type or out of range.
    #[error("{place}: `{key}` cannot be {given}; allowed: {allowed}")]
    Refused { place: String, key: String, given: String, allowed: String },
    /// Two settings contradict each other.
    #[error("{0}")]
    Contradiction(String),
}

macro_rules! settings {
    ($($section:ident: $type:ident),*) => {
        /// Everything that can be set.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct Settings {
            $(#[doc = concat!("`[", stringify!($section), "]`")] pub $section: $type,)*
        }

        impl Settings {
            fn set(&mut self, section: &str, key: &str, given: &Given<'_>) -> Result<(), String> {
                match section {
                    $(stringify!($section) => self.$section.set(key, given),)*
                    _ => Err("a known section".to_owned()),
                }
            }
        }

        /// Name, doc lines and keys of every section.
        fn catalogue() -> Vec<(&'static str, &'static [&'static str], Vec<Key>)> {
            vec![$((stringify!($section), $type::DOCS, $type::keys())),*]
        }
    };
}
settings! {
    server: Server, http: Http, metrics: Metrics, api: Api, auth: Auth, users: Users, posts: Posts, feed: Feed, chat: Chat,
    live: Live, links: Links, notifications: Notifications, media: Media, storage: Storage, cluster: Cluster,
    realtime: Realtime, log: Log
}

impl Settings {
    /// Defaults, then `file` if there is one, then the `FANFARE__…` variables among `environment`.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        let names = Names::new();
        if let Some(file) = file {
            let text = std::fs::read_to_string(file)
                .map_err(|error| ConfigError::Unreadable { file: file.to_owned(), reason: error.to_string() })?;
            settings.apply_file(&names, &file.display().to_string(), &text)?;
        }
        for (name, value) in environment {
            if let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) {
                settings.apply_variable(&names, name, &value.to_string_lossy())?;
            }
        }
        settings.check()?;
        Ok(settings)
    }

    /// The file that [`Settings::load`] reads, with every key at its default and what it means.
    #[must_use]
    pub fn example() -> String {
        let mut text = String::from(
            "# Settings of Fanfare, all at their defaults. Keep what you change; name the file with --config.\n\
             # Any key can be overridden by environment, such as FANFARE__HTTP__LISTEN=0.0.0.0:7070.\n",
        );
        for (section, docs, keys) in catalogue() {
            text.push('\n');
            docs.iter().for_each(|line| _ = writeln!(text, "#{line}"));
            _ = writeln!(text, "[{section}]");
            for key in keys {
                key.docs.iter().for_each(|line| _ = writeln!(text, "#{line}"));
                _ = match key.default {
                    Some(value) => writeln!(text, "# Allowed: {}.\n{} = {value}", key.allowed, key.name),
                    None => writeln!(text, "# Not set by default. Allowed: {}.\n# {} =", key.allowed, key.name),
                };
            }
        }
        text
    }

    fn apply_file(&mut self, names: &Names, place: &str, text: &str) -> Result<(), ConfigError> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let column = before.chars().rev().take_while(|character| *character != '\n').count() + 1;
            let line = before.matches('\n').count() + 1;
            let reason = error.message().lines().collect::<Vec<_>>().join(", ");
            ConfigError::Syntax { place: format!("{place}, line {line}, column {column}"), reason }
        })?;
        for (section, content) in &table {
            let Some(keys) = content.as_table() else {
                return Err(names.unknown(place, section));
            };
            if keys.is_empty() && !names.has_section(section) {
                return Err(names.unknown(place, section));
            }
            for (key, value) in keys {
                let path = format!("{section}.{key}");
                if !names.has(&path) {
                    return Err(names.unknown(place, &path));
                }
                self.set(section, key, &Given::Toml(value)).map_err(|allowed| ConfigError::Refused {
                    place: place.to_owned(),
                    given: quoted(key, &value.to_string()),
                    key: path,
                    allowed,
                })?;
            }
        }
        Ok(())
    }

    fn apply_variable(&mut self, names: &Names, name: &str, value: &str) -> Result<(), ConfigError> {
        let path = name[PREFIX.len()..].to_ascii_lowercase().replace("__", ".");
        let known = names.has(&path) && name == variable(&path);
        let Some((section, key)) = path.split_once('.').filter(|_| known) else {
            let nearest = variable(names.nearest(&path));
            return Err(ConfigError::Unknown { place: "environment".to_owned(), name: name.to_owned(), nearest });
        };
        self.set(section, key, &Given::Text(value)).map_err(|allowed| ConfigError::Refused {
            place: "environment".to_owned(),
            key: name.to_owned(),
            given: quoted(key, &format!("{value:?}")),
            allowed,
        })
    }

    /// Refuses what no single key can tell: settings that contradict each other.
    fn check(&self) -> Result<(), ConfigError> {
        let feed = &self.feed;
        if feed.push_below > feed.pull_above {
            return Err(ConfigError::Contradiction(format!(
                "feed.push_below ({}) must not be above feed.pull_above ({})",
                feed.push_below, feed.pull_above
            )));
        }
        if let Some(metrics) = self.metrics.listen
            && metrics.0 == self.http.listen
            && metrics.0.port() != 0
        {
            return Err(ConfigError::Contradiction(format!(
                "metrics.listen must be another address than http.listen ({})",
                metrics.0
            )));
        }
        let realtime = &self.realtime;
        if realtime.offline_after_s <= realtime.heartbeat_s {
            return Err(ConfigError::Contradiction(format!(
                "realtime.offline_after_s ({}) must be above realtime.heartbeat_s ({})",
                realtime.offline_after_s, realtime.heartbeat_s
            )));
        }
        self.links.check(&self.http).map_err(ConfigError::Contradiction)?;
        if self.auth.jwt_jwks_ca_file.is_some() && self.auth.jwt_jwks_url.is_none() {
            return Err(ConfigError::Contradiction(
                "auth.jwt_jwks_ca_file vouches for auth.jwt_jwks_url, which is not set".to_owned(),
            ));
        }
        Ok(())
    }
}

/// The environment variable of a key such as `http.listen`.
fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.to_ascii_uppercase().replace('.', "__"))
}

/// A refused value for a message: cut short, and never a secret.
fn quoted(key: &str, value: &str) -> String {
    if key.contains("secret") {
        return "what was given".to_owned();
    }
    let line = value.replace('\n', " ");
    if line.chars().count() <= QUOTED_CHARS_MAX {
        return line;
    }
    line.chars().take(QUOTED_CHARS_MAX).chain(['…']).collect()
}

/// Paths of all keys, such as `http.listen`.
struct Names(Vec<String>);

impl Names {
    fn new() -> Self {
        let paths = |(section, _, keys): (&'static str, _, Vec<Key>)| {
            keys.into_iter().map(move |key| format!("{section}.{}", key.name))
        };
        Self(catalogue().into_iter().flat_map(paths).collect())
    }

    fn has(&self, path: &str) -> bool {
        self.0.iter().any(|known| known == path)
    }

    fn has_section(&self, section: &str) -> bool {
        self.0.iter().any(|known| known.split('.').next() == Some(section))
    }

    /// The known path that looks most like `path`: as a whole, or, for a key in the wrong section, by its own name.
    fn nearest(&self, path: &str) -> &str {
        let own = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
        let wanted = own(path);
        let likeness = |known: &str| strsim::jaro_winkler(known, path).max(strsim::jaro_winkler(&own(known), &wanted));
        // Of equals the first in the example: a lone `listen` is more often http's than metrics'.
        let best = self.0.iter().rev().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        best.map_or("", String::as_str)
    }

    fn unknown(&self, place: &str, name: &str) -> ConfigError {
        let nearest = self.nearest(name).to_owned();
        ConfigError::Unknown { place: place.to_owned(), name: name.to_owned(), nearest }
    }
}

#[cfg(test)]
mod tests;
