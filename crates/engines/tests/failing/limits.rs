//! A disk that refuses to let files grow, in the middle of a write, as often as is wanted: the limit of a process on
//! the size of its files. The test runs its own binary as the process, and kills it in the end.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fanfare_engines::EngineError;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::life::{Life, until};
use crate::workload::{self, Commit};

const FOLDER_VARIABLE: &str = "FANFARE_FAILING_TEST_FOLDER";
const FAILURES: usize = 6;
const DONE: &str = "came through";

fn limit(bytes: Option<u64>) {
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

/// Bytes of the newest log without the zeros at its end.
fn used(folder: &Path) -> u64 {
    let logs = fs::read_dir(folder.join("store")).unwrap().map(|entry| entry.unwrap().path());
    let logs = logs.filter(|path| path.extension().is_some_and(|extension| extension == "jnl"));
    let newest = logs.max_by_key(|path| path.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap()).unwrap();
    let bytes = fs::read(newest).unwrap_or_default();
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

/// The process: its writers go on through every failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_writes_through_failures() {
    let Some(folder) = env::var_os(FOLDER_VARIABLE).map(PathBuf::from) else { return };
    // Not println, which the test harness would swallow.
    let heard = |(writer, number): Commit| writeln!(std::io::stdout(), "acknowledged {writer} {number}").unwrap();
    let life = Life::begin(&folder, 0, heard).await;
    for failure in 0..FAILURES {
        life.goes_on(20).await;
        let before = life.failed();
        // Nothing can be written, or the beginning of something.
        limit(Some(if failure % 2 == 0 { 1 } else { used(&folder) + 300 }));
        until("a write fails", || life.failed() > before).await;
        let second = workload::open(&folder);
        assert!(matches!(&second, Err(EngineError::Unavailable(cause)) if cause.contains("in use")), "a second opener");
        limit(None);
    }
    life.goes_on(20).await;
    writeln!(std::io::stdout(), "{DONE}").unwrap();
    std::future::pending::<()>().await;
}

/// A commit that failed closed the engine until the process was started again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_is_written_again_and_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    // A write beyond the limit is an error and not the end, for who ignores the signal.
    let mut child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "limits::child_writes_through_failures", "--nocapture"])
        .env(FOLDER_VARIABLE, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut acknowledged = BTreeSet::new();
    let mut done = false;
    for line in lines {
        if line.contains(DONE) {
            done = true;
            break;
        }
        let Some((_, commit)) = line.split_once("acknowledged ") else { continue };
        let (writer, number) = commit.trim().split_once(' ').unwrap();
        acknowledged.insert((writer.parse().unwrap(), number.parse().unwrap()));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(done, "the process ended by itself");
    let engines = workload::open(folder.path()).unwrap();
    workload::check_kept(&engines, &acknowledged).await;
    assert!(acknowledged.len() > 20 * FAILURES);
}
