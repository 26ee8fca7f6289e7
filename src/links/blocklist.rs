//! List of hosts and codes that an operator blocks: read from a file, and again when that changes.

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;

use super::alias::is_code;
use crate::base::error::{Error, Result};
use crate::base::limits::links::{BLOCKLIST_BYTES_MAX, BLOCKLIST_LOOK_MS};
use crate::base::target::host_key;

/// Names that are blocked.
#[derive(Debug, Default, PartialEq, Eq)]
struct Names {
    hosts: HashSet<Box<str>>,
    codes: HashSet<Box<str>>,
}

/// Identity of a file's content, as the system tells it.
type Stamp = (u64, u64, i64, i64, i64, i64);

/// The list; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Blocklist(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    file: Option<PathBuf>,
    names: RwLock<Arc<Names>>,
    stamp: RwLock<Option<Stamp>>,
}

impl Names {
    /// Names in `text`: a host or a code a line, after `#` comments; a host's subdomains are meant too. Also answers
    /// how many lines are neither.
    #[must_use]
    pub fn parse(text: &str) -> (Self, usize) {
        let (mut names, mut odd) = (Self::default(), 0);
        for line in text.lines() {
            let name = line.split('#').next().unwrap_or_default().trim();
            if name.is_empty() {
                continue;
            }
            let host = host_key(name.trim_start_matches("*.").trim_start_matches('.'));
            // A word without a dot may be either.
            let is_code = is_code(name);
            odd += usize::from(host.is_none() && !is_code);
            names.hosts.extend(host.map(String::into_boxed_str));
            if is_code {
                names.codes.insert(name.into());
            }
        }
        (names, odd)
    }

    /// Whether `host`, as [`host_key`] writes it, or a host above it is named.
    fn has_host(&self, host: &str) -> bool {
        if self.hosts.is_empty() {
            return false;
        }
        let mut rest = host;
        loop {
            if self.hosts.contains(rest) {
                return true;
            }
            match rest.split_once('.') {
                Some((_, above)) => rest = above,
                None => return false,
            }
        }
    }

    /// Whether `code` is named.
    fn has_code(&self, code: &str) -> bool {
        !self.codes.is_empty() && self.codes.contains(code)
    }
}

impl Blocklist {
    /// The list in `file`; without one nothing is blocked.
    ///
    /// # Errors
    /// [`Error::Setting`] when the file cannot be read: a server that lets through what it was told to block should not
    /// start.
    pub fn open(file: Option<PathBuf>) -> Result<Self> {
        let list = Self(Arc::new(Inner { file, ..Inner::default() }));
        list.look().map_err(|error| Error::Setting(format!("links.blocklist_file: {error}")))?;
        Ok(list)
    }

    /// Whether a link with this code to this host is blocked.
    #[must_use]
    pub fn blocks(&self, code: &str, host: &str) -> bool {
        let names = self.0.names.read();
        names.has_code(code) || names.has_host(host)
    }

    /// Reads the file if it changed.
    ///
    /// # Errors
    /// What the system says; the list stays what it was.
    pub fn look(&self) -> io::Result<()> {
        let Some(file) = &self.0.file else { return Ok(()) };
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.display()));
        let stamp = stamp_of(file).map_err(named)?;
        if *self.0.stamp.read() == Some(stamp) {
            return Ok(());
        }
        if stamp.1 > BLOCKLIST_BYTES_MAX {
            return Err(named(io::Error::other(format!("is larger than {BLOCKLIST_BYTES_MAX} bytes"))));
        }
        let (names, odd) = Names::parse(&String::from_utf8_lossy(&std::fs::read(file).map_err(named)?));
        if odd > 0 {
            tracing::warn!(file = %file.display(), lines = odd, "lines of the list of blocked links are no host and no code");
        }
        let (hosts, codes) = (names.hosts.len(), names.codes.len());
        *self.0.names.write() = Arc::new(names);
        *self.0.stamp.write() = Some(stamp);
        tracing::info!(file = %file.display(), hosts, codes, "the list of blocked links was read");
        Ok(())
    }

    /// Looks at the file for ever; without one there is nothing to do.
    pub async fn keep_reading(self) {
        if self.0.file.is_none() {
            return;
        }
        let mut tick = tokio::time::interval(Duration::from_millis(BLOCKLIST_LOOK_MS));
        let mut is_broken = false;
        loop {
            tick.tick().await;
            let list = self.clone();
            let looked = tokio::task::spawn_blocking(move || list.look()).await;
            let broken = match &looked {
                Ok(Err(error)) => Some(error.to_string()),
                _ => None,
            };
            if let Some(cause) = broken.as_ref().filter(|_| !is_broken) {
                tracing::warn!(cause, "the list of blocked links cannot be read; the last one holds");
            }
            is_broken = broken.is_some();
        }
    }
}

fn stamp_of(file: &Path) -> io::Result<Stamp> {
    let meta = std::fs::metadata(file)?;
    Ok((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_meant_with_what_is_below_them_and_codes_as_they_stand() {
        let text =
            "# spam\nevil.example\n*.Wild.Example # all\n.dot.example.\nbücher.example\n10.0.0.1\n\nAbc12\nno/thing\n";
        let (names, odd) = Names::parse(text);
        assert_eq!(odd, 1);
        for host in [
            "evil.example",
            "a.evil.example",
            "a.b.evil.example",
            "wild.example",
            "x.wild.example",
            "dot.example",
            "xn--bcher-kva.example",
            "10.0.0.1",
        ] {
            assert!(names.has_host(host), "{host}");
        }
        for host in ["notevil.example", "example", "evil.example.org", "1.10.0.0"] {
            assert!(!names.has_host(host), "{host}");
        }
        assert!(names.has_code("Abc12") && !names.has_code("abc12") && !names.has_code("evil"));
    }

    #[test]
    fn a_change_of_the_file_is_seen_and_a_file_that_is_gone_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("blocked");
        assert!(Blocklist::open(Some(file.clone())).is_err(), "it is not there");
        std::fs::write(&file, "evil.example\n").unwrap();
        let list = Blocklist::open(Some(file.clone())).unwrap();
        assert!(list.blocks("x", "evil.example") && !list.blocks("x", "good.example"));
        std::fs::write(&file, "good.example\nevil2.example\n").unwrap();
        list.look().unwrap();
        assert!(list.blocks("x", "good.example") && !list.blocks("x", "evil.example"));
        std::fs::remove_file(&file).unwrap();
        assert!(list.look().is_err() && list.blocks("x", "good.example"));
        assert!(!Blocklist::open(None).unwrap().blocks("x", "evil.example"));
    }
}
