//! The binary as a person at a terminal meets it: what it prints, and how it ends.

#![allow(clippy::unwrap_used, reason = "what cannot be started is a failed test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

fn fanfare() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command.env_remove("FANFARE_CONFIG");
    command
}

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = fanfare().args(arguments).envs(variables.iter().copied()).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn the_printed_settings_are_settings() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fanfare.toml");
    let (code, example, _) = run(&["config"], &[]);
    assert_eq!(code, Some(0));
    std::fs::write(&file, &example).unwrap();
    let (code, words, _) = run(&["config", "--check", file.to_str().unwrap()], &[]);
    assert_eq!(code, Some(0));
    assert!(words.contains("are fine"), "{words}");
}

#[test]
fn wrong_settings_end_with_2_and_one_line_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fanfare.toml");
    std::fs::write(&file, "[feed]\npush_bellow = 1\n").unwrap();
    let file = file.to_str().unwrap();
    for (arguments, variables, words) in [
        (vec!["serve", "--config", file], vec![], "did you mean `feed.push_below`"),
        (vec!["config", "--check", file], vec![], "did you mean `feed.push_below`"),
        (vec!["serve"], vec![("FANFARE__HTTP__LISTN", "x")], "did you mean `FANFARE__HTTP__LISTEN`"),
        (vec!["serve"], vec![("FANFARE__HTTP__LISTEN", "x")], "allowed: an address and a port"),
        (vec!["serve", "--config", "/nowhere.toml"], vec![], "name another file with --config"),
    ] {
        let (code, _, error) = run(&arguments, &variables);
        assert_eq!(code, Some(2), "{arguments:?} {error}");
        assert!(error.starts_with("fanfare: ") && error.contains(words) && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for arguments in [vec![], vec!["sing"], vec!["import"], vec!["serve", "--listen", "here"], vec!["bench"]] {
        assert_eq!(run(&arguments, &[]).0, Some(2), "{arguments:?}");
    }
    assert_eq!(run(&["--help"], &[]).0, Some(0));
    assert_eq!(run(&["serve", "--help"], &[]).0, Some(0));
}

#[test]
fn what_cannot_be_done_ends_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (code, _, error) = run(&["serve", "--data-dir", file.to_str().unwrap(), "--listen", "127.0.0.1:0"], &[]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.lines().last().unwrap().starts_with("fanfare: "), "{error}");
}

/// The life of a server: it says where it is, is ready, keeps the admin token to its owner, and ends well when told to.
#[test]
fn a_server_says_where_it_is_and_ends_well_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = fanfare()
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir", folder.path().to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let line = lines.find_map(|line| line.ok().filter(|line| line.contains("http://"))).unwrap();
    let address = line.split("http://").nth(1).unwrap().split(['/', ' ']).next().unwrap();

    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let token = std::fs::metadata(folder.path().join("admin.token")).unwrap();
    assert_eq!(token.permissions().mode() & 0o777, 0o600);

    let told = Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap();
    assert!(told.success());
    assert_eq!(server.wait().unwrap().code(), Some(0));
}
