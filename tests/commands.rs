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

/// Remains of a second server on a taken address: nothing, and a line that says what to do.
#[test]
fn a_taken_address_is_refused_before_the_folder_is_touched() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let free = "127.0.0.1:0";
    for (command, listen, metrics, advice) in [
        ("serve", taken.as_str(), None, "choose another address with --listen"),
        ("demo", taken.as_str(), None, "choose another address with --listen"),
        ("serve", free, Some(taken.as_str()), "choose another address with the setting metrics.listen"),
        ("demo", free, Some(taken.as_str()), "choose another address with the setting metrics.listen"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let variables: Vec<_> = metrics.iter().map(|address| ("FANFARE__METRICS__LISTEN", *address)).collect();
        let arguments = [command, "--listen", listen, "--data-dir", data_dir.to_str().unwrap()];
        let (code, said, error) = run(&arguments, &variables);
        assert_eq!(code, Some(1), "{error}");
        assert_eq!(said, "", "it promised something");
        assert_eq!(error.lines().count(), 1, "{error}");
        let words = format!("fanfare: cannot listen on {taken}: another process listens there; stop it, or {advice}");
        assert_eq!(error.trim_end(), words);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{command} left something behind");
    }
}

/// Status and body of a plain request.
fn ask(address: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let host = if request.contains("\r\nhost:") { "" } else { "\r\nhost: localhost" };
    stream.write_all(format!("{request}{host}\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn a_listener_of_metrics_answers_metrics_without_a_token_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = fanfare()
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir", folder.path().to_str().unwrap()])
        .env("FANFARE__METRICS__LISTEN", "0")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
    let addresses: Vec<String> = lines
        .filter_map(|line| Some(line.split("http://").nth(1)?.split(['/', ' ']).next()?.to_owned()))
        .take(2)
        .collect();
    let [api, metrics] = addresses.as_slice() else { panic!("{addresses:?}") };
    assert!(metrics.starts_with("127.0.0.1:"), "{metrics}");
    let (status, text) = ask(metrics, "GET /metrics HTTP/1.1");
    assert!(status == 200 && text.contains("fanfare_http_requests_in_flight"), "{status} {text}");
    for (request, refusal) in [
        ("GET / HTTP/1.1", 404),
        ("GET /healthz HTTP/1.1", 404),
        ("GET /docs/ HTTP/1.1", 404),
        ("GET /v1/posts?scope=public HTTP/1.1", 404),
        ("POST /v1/users HTTP/1.1", 404),
        ("GET /v1/admin/status HTTP/1.1", 404),
        ("GET /metrics/x HTTP/1.1", 404),
        ("POST /metrics HTTP/1.1", 405),
        // A page whose name was pointed at this machine.
        ("GET /metrics HTTP/1.1\r\nhost: page.example", 421),
    ] {
        let (status, body) = ask(metrics, request);
        assert_eq!(status, refusal, "{request}: {body}");
    }
    // The API's own address asks for a token all the same.
    assert_eq!(ask(api, "GET /metrics HTTP/1.1").0, 401);
    let token = folder.path().join("metrics.token");
    assert_eq!(std::fs::metadata(&token).unwrap().permissions().mode() & 0o777, 0o600);
    let bearer = format!("authorization: Bearer {}", std::fs::read_to_string(token).unwrap().trim());
    assert_eq!(ask(api, &format!("GET /metrics HTTP/1.1\r\n{bearer}")).0, 200);
    assert!(Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap().success());
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

/// Without its name a proxy is one address, and its clients share the bounds of one.
#[test]
fn a_public_url_without_a_trusted_proxy_is_warned_of() {
    for (variables, warned) in [
        (vec![("FANFARE__HTTP__PUBLIC_URL", "https://social.example")], true),
        (
            vec![
                ("FANFARE__HTTP__PUBLIC_URL", "https://social.example"),
                ("FANFARE__HTTP__TRUSTED_PROXIES", "[\"10.0.0.0/8\"]"),
            ],
            false,
        ),
        (vec![], false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut server = fanfare()
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir", folder.path().to_str().unwrap()])
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        lines.find_map(|line| line.ok().filter(|line| line.contains("http://"))).unwrap();
        assert!(Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap().success());
        let log = String::from_utf8(server.wait_with_output().unwrap().stderr).unwrap();
        assert_eq!(log.contains("http.trusted_proxies"), warned, "{variables:?}: {log}");
    }
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

    assert_eq!(ask(address, "GET /healthz HTTP/1.1").0, 200);
    let token = std::fs::metadata(folder.path().join("admin.token")).unwrap();
    assert_eq!(token.permissions().mode() & 0o777, 0o600);

    let told = Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap();
    assert!(told.success());
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

/// Ends when nobody reads what it prints, as with `| head`, and says nothing of it.
#[test]
fn a_command_whose_reader_has_gone_ends_quietly() {
    let temporary = tempfile::tempdir().unwrap();
    for arguments in [&["config"][..], &["openapi"], &["demo", "--listen", "127.0.0.1:0"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = fanfare();
        command.args(arguments).env("TMPDIR", temporary.path()).env("FANFARE__LOG__LEVEL", "error");
        let ended = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!((ended.status.code(), said.as_ref()), (Some(0), ""), "{arguments:?}");
    }
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "the demo leaves nothing behind");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = fanfare().arg("config").stdout(full).output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "a disk that is full is a failure");
}

/// A log that nobody reads stops no server.
#[test]
fn a_server_whose_log_has_no_reader_serves_on() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = fanfare();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir", folder.path().to_str().unwrap()]);
    command.env("FANFARE__LOG__LEVEL", "trace").stdout(Stdio::piped()).stderr(writer);
    let mut server = command.spawn().unwrap();
    drop(command);
    let mut words = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut words).unwrap();
    let address = words.split("http://").nth(1).unwrap().split([' ', '/']).next().unwrap().to_owned();
    for _ in 0..3 {
        let (status, body) = ask(&address, "GET /v1/posts?scope=public HTTP/1.1");
        assert_eq!(status, 200, "{body}");
    }
    assert!(Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap().success());
    assert_eq!(server.wait().unwrap().code(), Some(0));
}
