//! `fanfare admin` against a server that runs.

use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use fanfare_protocol::{Code, NewReport, ReportKind};

use super::{audit, because};
use crate::process::fanfare;
use crate::world::{PASSWORD, World, refused};

/// Exit code, what was printed, and what went to standard error.
async fn run(arguments: Vec<String>, input: &str) -> (Option<i32>, String, String) {
    let input = input.to_owned();
    let run = move || {
        let mut command = fanfare();
        command.arg("admin").args(arguments).env_remove("FANFARE_ADMIN_TOKEN");
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        // One that refuses its arguments reads nothing.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn arguments(url: &str, folder: &Path, rest: &[&str]) -> Vec<String> {
    let at = ["--url", url, "--data-dir", folder.to_str().unwrap()];
    at.iter().chain(rest).map(|argument| (*argument).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_does_what_the_calls_do() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let post = ann.say("hello").await.unwrap().id.to_string();
    let done = async |rest: &[&str], input: &str| {
        let (code, out, error) = run(arguments(&world.base, world.folder(), rest), input).await;
        assert_eq!((code, error.as_str()), (Some(0), ""), "{rest:?}");
        out
    };
    assert_eq!(done(&["audit"], "").await, "");
    done(&["post", "delete", &post, "--reason", "a home address"], "").await;
    assert_eq!(refused(ann.post(post.parse().unwrap()).await), Code::Gone);
    let said = done(&["user", "suspend", "@ann", "--reason", "spam", "--until", "7d"], "").await;
    assert!(said.contains("@ann") && said.contains(&ann.id.to_string()) && said.contains("until 20"), "{said}");
    assert_eq!(refused(ann.me().await), Code::AccountSuspended);
    done(&["user", "unsuspend", &ann.id.to_string(), "--reason", "a mistake"], "").await;
    assert!(ann.me().await.is_ok());
    done(&["user", "password", "@ann"], "another horse\n").await;
    assert!(world.anyone.log_in("ann", "another horse").await.is_ok());
    let lines = done(&["audit", "--limit", "3"], "").await;
    let actions: Vec<&str> = lines.lines().map(|line| line.split("  ").nth(3).unwrap()).collect();
    assert_eq!(actions, ["user.password", "user.unsuspend", "user.suspend"], "{lines}");
    assert!(lines.contains("(a mistake)") && !lines.contains("horse"), "{lines}");
    let bob = world.person("bob").await;
    let new = NewReport { kind: ReportKind::User, id: ann.id, conversation_id: None, reason: "two\nlines".to_owned() };
    let report = bob.report(&new).await.unwrap().id.to_string();
    let told = done(&["report", "list"], "").await;
    assert!(told.contains(&report) && told.contains("user") && told.contains("of @ann"), "{told}");
    assert!(told.ends_with("by @bob  (two lines)\n") && told.lines().count() == 1, "{told}");
    done(&["report", "resolve", &report, "--note", "talked to her"], "").await;
    assert_eq!(done(&["report", "list"], "").await, "");
    assert!(done(&["report", "list", "--all"], "").await.contains("resolved by admin.token: talked to her"));
    let json = done(&["audit", "--json"], "").await;
    let read: Vec<fanfare_protocol::AuditEntry> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, audit(&world).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_says_in_one_line_what_is_wrong() {
    let world = World::new().await;
    world.person("ann").await;
    let nowhere = tempfile::tempdir().unwrap();
    let here = world.folder();
    let base = world.base.as_str();
    for (url, folder, rest, code, words) in [
        (base, here, vec!["user", "suspend", "@nobody", "--reason", "x"], 1, "no such user"),
        (base, here, vec!["user", "suspend", "@ann", "--reason", " "], 1, "reason"),
        (base, here, vec!["post", "delete", "1"], 1, "no such post"),
        (base, here, vec!["--token", "a wrong token", "audit"], 1, "401"),
        (base, nowhere.path(), vec!["audit"], 2, "--data-dir"),
        ("http://127.0.0.1:1", here, vec!["audit"], 1, "is the server running"),
        ("https://127.0.0.1:1", here, vec!["audit"], 2, "http://"),
        (base, here, vec!["user", "password", "@ann"], 1, "at least 8 characters"),
    ] {
        let (ended, out, error) = run(arguments(url, folder, &rest), "short\n").await;
        assert_eq!((ended, out.as_str()), (Some(code), ""), "{rest:?}: {error}");
        assert!(error.starts_with("fanfare: ") && error.contains(words) && error.lines().count() == 1, "{error}");
    }
    for wrong in [
        vec!["user", "suspend", "@ann"],
        vec!["user", "suspend", "ann/../x", "--reason", "x"],
        vec!["user", "suspend", "@ann", "--reason", "x", "--until", "someday"],
        vec!["user", "password", "@ann", "a password on the command line"],
        vec!["post", "delete", "x"],
        vec!["post"],
        vec!["consumer", "remove", "a/b"],
        vec![],
    ] {
        let (code, _, _) = run(arguments(base, here, &wrong), "").await;
        assert_eq!(code, Some(2), "{wrong:?}");
    }
    assert!(audit(&world).await.is_empty());
    assert!(world.anyone.log_in("ann", PASSWORD).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_with_role_admin_uses_their_own_token() {
    let world = World::new().await;
    let [chief, _ann] = world.people(["chief", "ann"]).await;
    world.operator.set_admin(chief.id, true).await.unwrap();
    let nowhere = tempfile::tempdir().unwrap();
    let rest = ["--token", &chief.token, "user", "suspend", "@ann", "--reason", "spam"];
    let (code, _, error) = run(arguments(&world.base, nowhere.path(), &rest), "").await;
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(audit(&world).await[0].actor, chief.id.to_string());
    let rest = ["--token", &chief.token, "user", "suspend", "@chief", "--reason", "spam"];
    let (code, _, error) = run(arguments(&world.base, nowhere.path(), &rest), "").await;
    assert!(code == Some(1) && error.contains("admin token"), "{error}");
    world.operator.suspend("@chief", &because("gone", None)).await.unwrap();
    let rest = ["--token", &chief.token, "audit"];
    let (code, _, error) = run(arguments(&world.base, nowhere.path(), &rest), "").await;
    assert!(code == Some(1) && error.contains("suspended"), "{error}");
}
