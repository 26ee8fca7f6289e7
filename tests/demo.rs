//! `fanfare demo` as a newcomer meets it: the binary, what it prints, and the world behind it.

#![allow(clippy::unwrap_used, reason = "what cannot be started is a failed test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A demo that runs, with what it said.
struct Demo {
    process: Child,
    words: String,
    address: String,
    token: String,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Demo {
    /// Starts it with its temporary files in `temporary`, and waits until it has said everything.
    fn start(temporary: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
        command.env_remove("FANFARE_CONFIG").env("TMPDIR", temporary);
        command.args(["demo", "--listen", "127.0.0.1:0"]).args(arguments);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut words = String::new();
        for line in BufReader::new(process.stdout.take().unwrap()).lines() {
            words.push_str(&line.unwrap());
            words.push('\n');
            if words.contains("Ctrl-C") {
                break;
            }
        }
        let after = |label: &str| {
            let rest = words.split(label).nth(1).unwrap_or_else(|| panic!("no {label:?} in {words}"));
            rest.split_whitespace().next().unwrap().to_owned()
        };
        let address = after("See it live").trim_start_matches("http://").trim_end_matches('/').to_owned();
        let token = after("Or with a token");
        Self { process, address, token, words }
    }

    /// Status and body of a request with the demo person's token.
    fn call(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let (token, length) = (&self.token, body.len());
        let head = format!("host: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\ncontent-length: {length}");
        write!(stream, "{method} {path} HTTP/1.1\r\n{head}\r\ncontent-type: application/json\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, "");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Tells it to end; answers its exit code.
    fn end(mut self) -> Option<i32> {
        let told = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap();
        assert!(told.success());
        self.process.wait().unwrap().code()
    }
}

#[test]
fn a_newcomer_finds_a_world_that_has_all_policies_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let demo = Demo::start(temporary.path(), &[]);

    let feed = demo.get("/v1/feed?limit=100");
    let posts = feed["items"].as_array().unwrap();
    assert_eq!(posts.len(), 100);
    assert!(posts.iter().any(|post| post["repost_of"].is_object()));
    let news = demo.get("/v1/notifications?limit=100");
    assert!(news["unread_count"].as_u64().unwrap() > 0, "{news}");
    let public = demo.get("/v1/posts?scope=public&limit=100");
    for happened in ["like_count", "reply_count", "repost_count"] {
        assert!(public["items"].as_array().unwrap().iter().any(|post| post[happened].as_u64() > Some(0)), "{happened}");
    }
    assert!(demo.get("/v1/users/@demo")["followers_count"].as_u64().unwrap() >= 30);
    let status = demo.get("/v1/admin/status");
    let by_policy = status["posts_by_policy"].as_array().unwrap();
    assert!(by_policy.iter().all(|count| count.as_u64().unwrap() > 50), "{by_policy:?}");

    // What was printed to copy works, and the page has someone to log in as.
    let reply_to = demo.words.split("\"reply_to\": \"").nth(1).unwrap().split('"').next().unwrap();
    let (status, body) = demo.call("POST", "/v1/posts", &format!(r#"{{"text": "Hello!", "reply_to": "{reply_to}"}}"#));
    assert_eq!(status, 201, "{body}");
    // People of this world answer what a newcomer says.
    let (_, body) = demo.call("POST", "/v1/posts", r#"{"text": "Is anybody here?"}"#);
    let asked: Value = serde_json::from_str(&body).unwrap();
    let asked = format!("/v1/posts/{}", asked["id"].as_str().unwrap());
    let deadline = Instant::now() + Duration::from_secs(120);
    while demo.get(&asked)["like_count"].as_u64() == Some(0) {
        assert!(Instant::now() < deadline, "nobody liked it");
        std::thread::sleep(Duration::from_millis(50)); // poll
    }
    let login = demo.get("/demo.json").to_string();
    assert_eq!(demo.call("POST", "/v1/sessions", &login).0, 201);

    assert_eq!(demo.end(), Some(0));
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "the temporary folder is still there");
}

#[test]
fn a_demo_that_is_told_to_end_while_it_makes_its_world_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command.env_remove("FANFARE_CONFIG").env("TMPDIR", temporary.path()).args(["demo", "--listen", "127.0.0.1:0"]);
    let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("Making"), "{first}");
    assert!(Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap().success());
    assert_eq!(process.wait().unwrap().code(), Some(0));
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "the temporary folder is still there");
}

#[test]
fn a_world_in_a_data_folder_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("world");
    let arguments = ["--data-dir", data_dir.to_str().unwrap()];
    let first = Demo::start(folder.path(), &arguments);
    let (status, body) = first.call("POST", "/v1/posts", r#"{"text": "Still here tomorrow."}"#);
    assert_eq!(status, 201);
    let post: Value = serde_json::from_str(&body).unwrap();
    let joined = first.get("/v1/users/me")["created_at"].clone();
    assert_eq!(first.end(), Some(0));

    let second = Demo::start(folder.path(), &arguments);
    assert_eq!(second.get("/v1/users/me")["created_at"], joined);
    assert_eq!(second.get(&format!("/v1/posts/{}", post["id"].as_str().unwrap()))["text"], "Still here tomorrow.");
    assert_eq!(second.end(), Some(0));
}
