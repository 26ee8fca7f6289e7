//! A process that is killed with SIGKILL at any moment loses nothing that it acknowledged.
//!
//! The test runs its own binary as the child: `child_writes_until_killed` does nothing unless it is told a folder.

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::workload::{self, Commit, WRITERS};

const FOLDER_VARIABLE: &str = "FANFARE_CRASH_TEST_FOLDER";
const KILLS: usize = 8;

/// The child: acknowledges each commit on its standard output.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_writes_until_killed() {
    let Some(folder) = env::var_os(FOLDER_VARIABLE).map(PathBuf::from) else { return };
    let engines = Arc::new(workload::open(&folder).unwrap());
    let kept = workload::check_whole(&engines).await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let engines = Arc::clone(&engines);
        let first = kept.iter().filter(|commit| commit.0 == writer).count() as u64;
        writers.spawn(async move {
            for number in first.. {
                workload::write(&engines, (writer, number)).await.unwrap();
                // Not println, which the test harness would swallow.
                writeln!(std::io::stdout(), "acknowledged {writer} {number}").unwrap();
            }
        });
    }
    writers.join_all().await;
}

pub fn start_child(folder: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "killed::child_writes_until_killed", "--nocapture"])
        .env(FOLDER_VARIABLE, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

pub fn parse_acknowledgement(line: &str) -> Option<Commit> {
    // The harness prints the test's name on the same line first.
    let (_, commit) = line.split_once("acknowledged ")?;
    let (writer, number) = commit.trim().split_once(' ')?;
    Some((writer.parse().ok()?, number.parse().ok()?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    for kill in 0..KILLS {
        let (mut child, output) = start_child(folder.path());
        let mut lines = output.lines();
        let mut patience = 1 + kill * kill * 37;
        for line in lines.by_ref() {
            acknowledged.extend(parse_acknowledgement(&line.unwrap()));
            patience -= 1;
            if patience == 0 {
                break;
            }
        }
        assert_eq!(patience, 0, "the child ended by itself");
        child.kill().unwrap();
        // What it wrote to the pipe before it died was acknowledged too; the last line may be cut off.
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        let whole = rest.len().saturating_sub(1);
        acknowledged.extend(rest[..whole].iter().filter_map(|line| parse_acknowledgement(line)));
        child.wait().unwrap();
        let engines = workload::open(folder.path()).unwrap();
        workload::check_kept(&engines, &acknowledged).await;
    }
    assert!(acknowledged.len() > 1_000);
}
