//! The store's newest logs written anew, before they are opened again after a failed write.
//!
//! Once an fsync of a file has failed, a later one proves nothing: the kernel may have marked the pages it could not
//! write as clean, so that they can be read and are on no disk. So what can be read is written to a new file, whose own
//! fsync counts, and that takes the place of the log. What was acknowledged is on the disk already; of what was not,
//! the opening decides whether it is whole, and what it finds is durable.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::store::sync_folder;

/// Logs that may hold what was not synced: the one that is written, and the one before it while they change.
const LOGS_MAX: usize = 2;
/// Ending of a log that is being written anew.
const RENEWED_EXTENSION: &str = "renewed";

/// Writes the newest logs in `folder` anew, with what can be read of them.
pub(super) fn renew_logs(folder: &Path) -> std::io::Result<()> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_log = path.extension().is_some_and(|extension| extension == "jnl");
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        if let Some(number) = number.filter(|_| is_log) {
            logs.push((number, path));
        }
    }
    logs.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
    for (_, log) in logs.iter().take(LOGS_MAX) {
        let aside = log.with_extension(RENEWED_EXTENSION);
        if let Err(error) = copy(log, &aside).and_then(|()| fs::rename(&aside, log)) {
            let _ = fs::remove_file(&aside); // the next try makes it anew
            return Err(error);
        }
    }
    sync_folder(folder)
}

/// Copies by reading, for a file system that shares blocks would share those that were never written.
fn copy(log: &Path, aside: &Path) -> std::io::Result<()> {
    let bytes = fs::read(log)?;
    // A log is made long with zeros, which its reader takes for the end as it takes the end itself.
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let mut copy = File::create(aside)?;
    copy.write_all(&bytes[..used])?;
    copy.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn the_newest_logs_are_other_files_with_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (name, bytes) in [("9.jnl", &b"nine"[..]), ("10.jnl", b"t\0en\0\0"), ("8.jnl", b"eight"), ("x.jnl", b"x")] {
            fs::write(path(name), bytes).unwrap();
        }
        let inode = |name: &str| fs::metadata(path(name)).unwrap().ino();
        let logs = ["8.jnl", "9.jnl", "10.jnl"];
        let before = logs.map(inode);
        for name in logs {
            // So that no number is given to another file.
            fs::hard_link(path(name), path(&format!("{name}.kept"))).unwrap();
        }
        renew_logs(folder.path()).unwrap();
        let after = logs.map(inode);
        assert_eq!(before.map(|old| after.contains(&old)), [true, false, false]);
        assert_eq!(
            (fs::read(path("9.jnl")).unwrap(), fs::read(path("10.jnl")).unwrap()),
            (b"nine".into(), b"t\0en".into())
        );
        assert!(!path("10.renewed").exists());
    }
}
