//! Commit subjects: `area: what`, short enough for one line of a log.

use std::process::Command;

use super::{assert_none, root};

/// Columns of a subject.
const SUBJECT_COLUMNS_MAX: usize = 72;
/// The last commit before the rule.
const BEFORE: &str = "d5513fd";

/// Fault of a subject.
fn wrong(subject: &str) -> Option<&'static str> {
    let is_area = |area: &str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_, -".contains(&byte);
        !area.is_empty() && !area.starts_with(' ') && area.bytes().all(plain)
    };
    match subject.split_once(": ") {
        _ if subject.chars().count() > SUBJECT_COLUMNS_MAX => Some("is too long"),
        Some((area, what)) if is_area(area) && !what.trim().is_empty() => None,
        _ => Some("does not begin with an area and a colon, in small letters"),
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).current_dir(root()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[test]
fn subjects_say_where_and_what_in_one_line() {
    // A copy without history, or with the end of it, has nothing to look at.
    let shallow = git(&["rev-parse", "--is-shallow-repository"]);
    if !root().join(".git").exists() || shallow.as_deref() != Some("false") {
        eprintln!("not looked at: this copy has no whole history of commits");
        return;
    }
    let range = format!("{BEFORE}..HEAD");
    let commits =
        git(&["log", "--no-merges", "--format=%h %s", &range]).expect("the history should reach back to BEFORE");
    let lines = commits.lines().filter_map(|line| line.split_once(' '));
    let broken = lines.filter_map(|(commit, subject)| Some(format!("{commit} {}: {subject}", wrong(subject)?)));
    assert_none(&broken.collect::<Vec<_>>());
}

#[test]
fn good_subjects_are_told_from_bad_ones() {
    for good in ["feed: rings are smaller", "http, realtime: one clock", "sdk-test: a port of its own"] {
        assert_eq!(wrong(good), None, "{good}");
    }
    for bad in
        ["Feed: rings", "rings are smaller", "feed:rings", ": what", "feed: ", &format!("feed: {}", "x".repeat(70))]
    {
        assert!(wrong(bad).is_some(), "{bad}");
    }
}
