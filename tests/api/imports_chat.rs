//! `fanfare import --chat` of a small made-up file: what cannot be read, kills in the middle, and what must come out.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use fanfare_engines::random::Random;

use crate::process::fanfare;

/// Lines of the file that can be read.
const LINES: u64 = 5_000;

fn file(folder: &Path) -> PathBuf {
    let mut dice = Random::new(5);
    let mut text = "channel\ttime\tnick\ttext\n".to_owned();
    let mut minutes = [60_u64, 60, 60];
    for number in 0..LINES {
        let channel = dice.index(3);
        let minute = &mut minutes[channel];
        // Now and then a day is over.
        *minute = (*minute + dice.below(20)) % 1_440;
        let name = ["2008-04-27.train", "2017-09-02", "town"][channel];
        // Some names are no handles, and some differ in case alone.
        let nick = ["Ann", "ann", "bob", "[away]", "c|2", "x", "Dora_1", "Ünal"][dice.index(8)];
        writeln!(text, "{name}\t{:02}:{:02}\t{nick}\tline {number} of it, @bob", *minute / 60, *minute % 60).unwrap();
        if number % 1_000 == 7 {
            text.push_str("nonsense\ntown\tnoon\tAnn\thello\n");
            text.push_str("town\t12:00\tAnn\t \ntown\t12:00\tAnn\tbell\u{7}\n");
        }
    }
    let path = folder.join("talk.tsv");
    std::fs::write(&path, text).unwrap();
    path
}

fn import(file: &Path, data: &Path) -> Command {
    let mut command = fanfare();
    command.arg("import").arg("--chat").arg(file).arg("--verify").arg("--data-dir").arg(data);
    command
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn talk_becomes_groups_once_however_often_the_import_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = (file(folder.path()), tempfile::tempdir().unwrap());
    for patience_ms in [150, 300, 450, 700] {
        let mut child = import(&file, data.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Not a wait for something to come true: the moment of the kill.
        tokio::time::sleep(Duration::from_millis(patience_ms)).await; // poll
        child.kill().unwrap();
        child.wait().unwrap();
    }
    for _ in 0..2 {
        let output = import(&file, data.path()).output().unwrap();
        let said = words(&output);
        let whole = format!("verified: {LINES} messages in 3 channels; 0 channels differ");
        assert!(output.status.success() && said.contains(&whole), "{said}");
    }
}

#[test]
fn a_file_that_is_no_talk_ends_with_a_message() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.tsv");
    std::fs::write(&file, "a\tb\n").unwrap();
    let output = import(&file, folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
}
