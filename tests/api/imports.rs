//! `fanfare import` of small made-up files: corrupt lines, kills in the middle, and what must come out the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use fanfare_client::{FeedQuery, Paging};
use fanfare_engines::random::Random;
use fanfare_protocol::{Id, Post};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::process::{Process, fanfare};
use crate::world::all_pages;

const PEOPLE: u64 = 40;
const FIRST_S: u64 = 1_341_100_972;

struct Files {
    _folder: tempfile::TempDir,
    follows: PathBuf,
    activity: PathBuf,
}

/// A graph and `acts` lines of activity; with `corrupt`, lines between them that cannot be read.
fn files(acts: u64, corrupt: bool) -> Files {
    let folder = tempfile::tempdir().unwrap();
    let mut dice = Random::new(7);
    let mut follows = "follower\tfollowee\n".to_owned();
    for follower in 1..=PEOPLE {
        // The first few are stars.
        for _ in 0..6 {
            let bound = if dice.below(2) == 0 { 5 } else { PEOPLE };
            let followee = 1 + dice.below(bound);
            if followee != follower {
                writeln!(follows, "{follower}\t{followee}").unwrap();
            }
        }
    }
    let mut activity = "actor\ttarget\tunixtime\tkind\n".to_owned();
    for number in 0..acts {
        let kind = ["RT", "RE", "MT"][dice.below(3) as usize];
        // Some who act are not in the graph.
        let (actor, target) = (1 + dice.below(PEOPLE + 5), 1 + dice.below(PEOPLE + 5));
        writeln!(activity, "{actor}\t{target}\t{}\t{kind}", FIRST_S + number / 3).unwrap();
        if corrupt && number % 50 == 10 {
            activity.push_str("nonsense\n1\t2\n1\t2\tyesterday\tRT\n1\t2\t1341100972\tXX\n");
        }
    }
    if corrupt {
        follows.push_str("1\n1\tx\n3\t3\n\n1\t2\t3\n");
    }
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        let mut file = GzEncoder::new(std::fs::File::create(&path).unwrap(), Compression::fast());
        file.write_all(text.as_bytes()).unwrap();
        file.finish().unwrap();
        path
    };
    let (follows, activity) = (write("follows.tsv.gz", &follows), write("activity.tsv.gz", &activity));
    Files { _folder: folder, follows, activity }
}

fn import(files: &Files, data: &Path) -> Command {
    let mut command = fanfare();
    command.arg("import").arg("--follows").arg(&files.follows).arg("--activity").arg(&files.activity);
    command.arg("--data-dir").arg(data).args(["--verify", "1000"]);
    for (name, value) in [("TIMELINE_CAP", "10"), ("PUSH_BELOW", "8"), ("PULL_ABOVE", "20"), ("TIMELINES_MAX", "9")] {
        command.env(format!("FANFARE__FEED__{name}"), value);
    }
    command.env("FANFARE__FEED__FLIP_INTERVAL_S", "0").env("FANFARE__FEED__RECENTS_PER_AUTHOR", "5");
    command
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Contents of a folder: what each person has, line by line.
type Contents = BTreeMap<String, Vec<String>>;

/// Fails with the first lines that differ.
fn assert_same(found: &Contents, expected: &Contents, when: &str) {
    assert!(found.keys().eq(expected.keys()), "{when}: other people");
    for (handle, lines) in expected {
        let differing = found[handle].iter().zip(lines).find(|(one, other)| one != other);
        assert_eq!(differing, None, "{when}: {handle}");
        assert_eq!(found[handle].len(), lines.len(), "{when}: {handle}");
    }
}

/// Contents of a folder, without the ids, which may differ from run to run.
async fn contents(data: &Path) -> Contents {
    let server = Process::serve(data, &[]).await;
    let describe = |post: &Post, names: &BTreeMap<Id, String>| {
        // Notes to oneself name their line, which corrupt ones before it move.
        let text = post.text.split(", line ").next().unwrap_or_default();
        let name = |id: &Id| names.get(id).cloned().unwrap_or_default();
        let original = post.repost_of.as_ref().map(|original| name(&original.id));
        let counts = (post.like_count, post.reply_count, post.repost_count);
        // Files tell seconds. Within one, whatever takes an id meanwhile moves what comes by a millisecond.
        let second = post.created_at.0 / 1_000;
        format!("{} {text} {second} {original:?} {:?} {counts:?}", post.author.handle, post.reply_to.as_ref().map(name))
    };
    let mut users = Vec::new();
    for external in 0..PEOPLE + 10 {
        users.extend(server.anyone.user(&format!("@u{external}")).await.ok());
    }
    let mut names: BTreeMap<Id, String> = BTreeMap::new();
    let mut posts: Vec<(String, Vec<Post>)> = Vec::new();
    for user in &users {
        let read =
            async |cursor: Option<String>| server.anyone.posts_of(user.id, Paging::at(100, cursor.as_deref())).await;
        let own = all_pages(read, 100).await;
        for (place, post) in own.iter().rev().enumerate() {
            names.insert(post.id, format!("{}#{place}", user.handle));
        }
        posts.push((user.handle.clone(), own));
    }
    let mut found = BTreeMap::new();
    for ((handle, own), user) in posts.iter().zip(&users) {
        let mut lines: Vec<String> = own.iter().map(|post| describe(post, &names)).collect();
        lines.push(format!("{} {} {}", user.followers_count, user.following_count, user.posts_count));
        for page in [
            server.anyone.followers(user.id, Paging::first(100)).await.unwrap(),
            server.anyone.following(user.id, Paging::first(100)).await.unwrap(),
        ] {
            let mut people: Vec<String> = page.items.into_iter().map(|user| user.handle).collect();
            people.sort_unstable();
            lines.push(people.join(" "));
        }
        found.insert(handle.clone(), lines);
    }
    server.kill();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_loads_skips_what_is_corrupt_and_verifies() {
    let data = tempfile::tempdir().unwrap();
    let corrupt = files(600, true);
    let output = import(&corrupt, data.path()).output().unwrap();
    let said = words(&output);
    assert!(output.status.success(), "{said}");
    for place in ["activity.tsv.gz:13:", "activity.tsv.gz:14:", "activity.tsv.gz:15:", "activity.tsv.gz:16:"] {
        assert!(said.contains(place), "{place} is not in: {said}");
    }
    assert!(said.contains("skipped lines of the activity: 48"), "{said}");
    assert!(said.contains("0 feeds differ"), "{said}");
    let whole = files(600, false);
    let clean = tempfile::tempdir().unwrap();
    assert!(import(&whole, clean.path()).output().unwrap().status.success());
    assert_same(&contents(data.path()).await, &contents(clean.path()).await, "skipped lines leave no trace");
    // People of an import come in by JWT only; their names are taken.
    let server = Process::serve(data.path(), &[]).await;
    assert!(server.anyone.log_in("u1", "").await.is_err());
    let public = server.anyone.public_posts(Paging::first(5)).await.unwrap();
    assert_eq!(public.items.len(), 5);
    assert!(server.anyone.feed(FeedQuery::default()).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_is_killed_goes_on_without_doubling() {
    let files = files(3_000, false);
    let whole = tempfile::tempdir().unwrap();
    let output = import(&files, whole.path()).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    let expected = contents(whole.path()).await;

    let data = tempfile::tempdir().unwrap();
    let mut kills = 0;
    for patience_ms in [30, 60, 90, 120, 160, 200, 250, 300] {
        let mut child = import(&files, data.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Not a wait for something to come true: the moment of the kill.
        tokio::time::sleep(Duration::from_millis(patience_ms)).await; // poll
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        if ended.is_some() {
            break;
        }
        kills += 1;
    }
    let output = import(&files, data.path()).output().unwrap();
    let said = words(&output);
    assert!(output.status.success() && said.contains("0 feeds differ"), "{said}");
    let found = contents(data.path()).await;
    assert_same(&found, &expected, &format!("after {kills} kills"));
    // Once more: everything is done already.
    let output = import(&files, data.path()).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    assert_same(&contents(data.path()).await, &expected, "again");
}

/// Plain files of these lines, without their headers.
fn plain_files(follows: &str, activity: &str) -> Files {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let follows = write("follows.tsv", format!("follower\tfollowee\n{follows}"));
    let activity = write("activity.tsv", format!("actor\ttarget\tunixtime\tkind\n{activity}"));
    Files { _folder: folder, follows, activity }
}

/// All of these lines are on their way at once, but for those of which later ones look at what earlier ones made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_sees_what_the_lines_before_it_made() {
    let acts = [
        (1, 2, "MT"),
        (3, 1, "RT"),
        (3, 1, "RT"), // again
        (1, 2, "MT"),
        (3, 1, "RT"), // of what came meanwhile
        (2, 1, "RE"),
        (4, 3, "RT"), // of a bare repost: its original
        (4, 1, "RT"), // again
        (3, 5, "RE"), // who has said nothing yet
        (4, 5, "RE"),
    ];
    let activity: String =
        acts.iter().map(|(actor, target, kind)| format!("{actor}\t{target}\t{FIRST_S}\t{kind}\n")).collect();
    let data = tempfile::tempdir().unwrap();
    let output = import(&plain_files("2\t1\n", &activity), data.path()).output().unwrap();
    let said = words(&output);
    assert!(output.status.success() && said.contains("0 feeds differ"), "{said}");
    assert!(said.contains("posts: 9, ") && said.contains("; repeated reposts 2, refused lines 0"), "{said}");
    let found = contents(data.path()).await;
    let newest_of = |handle: &str| found[handle][0].clone();
    assert_eq!(found["u5"].len(), 1 + 3, "one first post, which both answer");
    assert!(newest_of("u5").ends_with("None (0, 2, 0)"), "{}", newest_of("u5"));
    assert_eq!(newest_of("u4"), format!("u4 I answer you, @u5. {FIRST_S} None Some(\"u5#0\") (0, 0, 0)"));
    assert_eq!(newest_of("u1"), format!("u1 Have you seen this, @u2? {FIRST_S} None None (0, 1, 2)"));
}

/// An import that is cut off as a kill does it, but always in the middle of what is read ahead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_goes_on_after_any_line_and_at_any_speed() {
    let whole = files(1_200, false);
    let data = tempfile::tempdir().unwrap();
    assert!(import(&whole, data.path()).output().unwrap().status.success());
    let expected = contents(data.path()).await;
    let packed = Command::new("zcat").arg(&whole.activity).output().unwrap().stdout;
    let lines: Vec<String> = String::from_utf8(packed).unwrap().lines().map(str::to_owned).collect();

    let data = tempfile::tempdir().unwrap();
    for (lasting, speed) in [(1, "max"), (300, "max"), (700, "1000000"), (701, "max"), (1_213, "1000000")] {
        let begun = plain_files("", "");
        std::fs::write(&begun.activity, lines[..lines.len().min(1 + lasting)].join("\n")).unwrap();
        let part = Files { follows: whole.follows.clone(), ..begun };
        let output = import(&part, data.path()).args(["--speed", speed]).output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
    }
    assert_same(&contents(data.path()).await, &expected, "in parts");
}

#[test]
fn files_that_are_not_what_they_should_be_end_with_a_message() {
    let data = tempfile::tempdir().unwrap();
    let files = files(10, false);
    let missing = Files {
        _folder: tempfile::tempdir().unwrap(),
        follows: "/nowhere.tsv".into(),
        activity: files.activity.clone(),
    };
    let swapped = Files {
        _folder: tempfile::tempdir().unwrap(),
        follows: files.activity.clone(),
        activity: files.follows.clone(),
    };
    for wrong in [missing, swapped] {
        let output = import(&wrong, data.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", words(&output));
        let last = String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned();
        assert!(last.starts_with("fanfare: "), "{last}");
    }
}

/// The real files, when they lie beside the clone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_lines_of_the_real_files_import_without_a_difference() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !beside.join("follows.tsv.gz").exists() {
        eprintln!("skipped: {} is not there", beside.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cut = |name: &str, lines: usize| {
        let output = Command::new("sh")
            .args(["-c", &format!("zcat {} 2>/dev/null | head -n {lines}", beside.join(name).display())])
            .output()
            .unwrap();
        let path = folder.path().join(name.trim_end_matches(".gz"));
        std::fs::write(&path, output.stdout).unwrap();
        path
    };
    let files = Files {
        follows: cut("follows.tsv.gz", 20_000),
        activity: cut("activity.tsv.gz", 5_000),
        _folder: tempfile::tempdir().unwrap(),
    };
    let data = tempfile::tempdir().unwrap();
    let output = import(&files, data.path()).output().unwrap();
    let said = words(&output);
    assert!(output.status.success() && said.contains("0 feeds differ"), "{said}");
}
