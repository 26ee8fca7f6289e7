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
        Self::start_on("127.0.0.1:0", temporary, arguments)
    }

    /// Starts a demo on another address; `address` is on this machine all the same.
    fn start_on(listen: &str, temporary: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
        command.env_remove("FANFARE_CONFIG").env("TMPDIR", temporary);
        command.args(["demo", "--listen", listen]).args(arguments);
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
        let address =
            after("See it live").trim_start_matches("http://").trim_end_matches('/').replace("0.0.0.0", "127.0.0.1");
        let token = after("Or with a token");
        Self { process, address, token, words }
    }

    /// Status and body of a request with the demo person's token.
    fn call(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let (token, length) = (&self.token, body.len());
        let head = format!("host: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: {length}");
        let (status, _, body) =
            self.raw(&format!("{method} {path} HTTP/1.1\r\n{head}\r\ncontent-type: application/json"), body);
        (status, body)
    }

    /// Status, head in lower case, and body of what is sent as it stands; the head without its end.
    fn raw(&self, head: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "{head}\r\nconnection: close\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
    }

    /// The origin that may read the answer to `method` on `path` from a page of `origin`, asked as browsers ask first.
    fn allows(&self, origin: &str, method: &str, path: &str) -> Option<String> {
        let head = format!(
            "OPTIONS {path} HTTP/1.1\r\nhost: localhost:1\r\norigin: {origin}\r\n\
             access-control-request-method: {method}\r\naccess-control-request-headers: authorization,content-type"
        );
        let (_, preflight, _) = self.raw(&head, "");
        let (_, answer, _) = self.raw(&format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\norigin: {origin}"), "");
        let of = |head: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix("access-control-allow-origin: "));
            line.map(str::to_owned)
        };
        assert_eq!(of(&preflight), of(&answer), "{origin} {path}: a preflight says what the call says");
        if of(&preflight).is_some() {
            assert!(preflight.contains(&method.to_lowercase()) && preflight.contains("authorization"), "{preflight}");
        }
        of(&preflight)
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
    // People talk in conversations of the newcomer's.
    while demo.get("/v1/conversations/unread")["messages"].as_u64() < Some(8) {
        assert!(Instant::now() < deadline, "nobody talks");
        std::thread::sleep(Duration::from_millis(50)); // poll
    }
    let mut who = Vec::new();
    for path in ["/demo.json", "/demo.json?as=demo", "/demo.json?as=friend"] {
        let (status, session) = demo.call("POST", "/v1/sessions", &demo.get(path).to_string());
        assert_eq!(status, 201, "{path}: {session}");
        let session: Value = serde_json::from_str(&session).unwrap();
        who.push(session["user"]["handle"].as_str().unwrap().to_owned());
    }
    assert_eq!(who, ["demo", "demo", "friend"]);
    assert_eq!(demo.call("GET", "/demo.json?as=ada", "").0, 422);
    let friend = demo.get("/v1/users/@friend");
    assert_eq!(
        (&friend["relationship"]["following"], &friend["relationship"]["followed_by"]),
        (&true.into(), &true.into())
    );
    let ids = [friend["id"].as_str().unwrap(), demo.get("/v1/users/@gracek")["id"].as_str().unwrap()].join(",");
    let engine = demo.get(&format!("/demo/engine.json?authors={ids}"));
    let ways: Vec<&str> =
        engine["authors"].as_array().unwrap().iter().map(|author| author["delivery"].as_str().unwrap()).collect();
    assert_eq!(ways, ["pushed", "pulled"], "{engine}");
    assert!(
        engine["timelines"].as_u64() > Some(50) && engine["authors"][1]["timelines"].as_u64() > Some(20),
        "{engine}"
    );
    assert_eq!(demo.raw("GET /demo/engine.json HTTP/1.1\r\nhost: localhost", "").0, 401);

    assert_eq!(demo.end(), Some(0));
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "the temporary folder is still there");
}

/// Names that a browser, a proxy or a program may write as `Host`, and whether the demo is meant by it.
#[test]
fn the_demo_answers_to_names_of_this_machine_only_and_to_pages_of_this_machine() {
    let temporary = tempfile::tempdir().unwrap();
    let demo = Demo::start(temporary.path(), &[]);
    let port = demo.address.rsplit(':').next().unwrap();
    let at_home = ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "[::1]", "127.0.0.53"];
    let hosts = at_home.iter().flat_map(|host| [(*host).to_owned(), format!("{host}:{port}"), format!("{host}:1")]);
    for host in hosts.map(|host| format!("host: {host}")) {
        for path in ["/", "/readyz", "/demo.json", "/docs/", "/v1/posts?scope=public"] {
            let (status, _, body) = demo.raw(&format!("GET {path} HTTP/1.1\r\n{host}"), "");
            assert_eq!(status, 200, "{host} {path}: {body}");
        }
    }
    let elsewhere = [
        "host: evil.example",
        "host: evil.example:7070",
        "HOST: Evil.Example.",
        "host: localhost.evil.example",
        "host: 127.0.0.1.evil.example",
        "host: 192.0.2.1",
        "host: [2001:db8::1]:7070",
        "host: 0.0.0.0",
        "host: evil.example@localhost",
        "host: localhost, evil.example",
        "host:",
    ];
    // None, and two: nobody's, and on no server.
    for host in [
        "accept: */*",
        "host: localhost\r\nhost: evil.example",
        "host: evil.example\r\nhost: localhost",
        "host: localhost\r\nhost: localhost",
    ] {
        let (status, _, body) = demo.raw(&format!("GET /demo.json HTTP/1.1\r\n{host}"), "");
        assert!(status == 400 && body.contains("Host header") && !body.contains("password"), "{host}: {body}");
    }
    for host in elsewhere {
        for path in ["/", "/readyz", "/demo.json", "/demo/engine.json", "/docs/", "/v1/admin/status", "/nothing"] {
            let (status, head, body) = demo.raw(&format!("GET {path} HTTP/1.1\r\n{host}"), "");
            assert_eq!(status, 421, "{host} {path}: {body}");
            assert!(body.contains("\"misdirected\"") && head.contains("application/problem+json"), "{head} {body}");
            assert!(!body.contains("password"), "{body}");
        }
    }
    // A target with an authority of its own says the same as the header, or the head is read two ways.
    assert_eq!(demo.raw("GET http://evil.example/demo.json HTTP/1.1\r\nhost: localhost", "").0, 400);
    assert_eq!(demo.raw("GET http://localhost/demo.json HTTP/1.1\r\nhost: evil.example", "").0, 400);
    assert_eq!(demo.raw("GET http://evil.example/demo.json HTTP/1.1\r\nhost: evil.example", "").0, 421);
    assert_eq!(demo.raw("GET http://localhost/demo.json HTTP/1.1\r\nhost: localhost", "").0, 200);
    // So is a WebSocket, and so is what changes something.
    let upgrade = "upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==";
    assert_eq!(demo.raw(&format!("GET /v1/realtime HTTP/1.1\r\nhost: evil.example\r\n{upgrade}"), "").0, 421);
    assert_eq!(demo.raw("POST /v1/sessions HTTP/1.1\r\nhost: evil.example\r\ncontent-length: 2", "{}").0, 421);

    for origin in ["http://localhost:5173", "http://127.0.0.1:3000", "http://[::1]:8080", "http://localhost"] {
        for (method, path) in
            [("POST", "/v1/posts"), ("GET", "/v1/feed"), ("DELETE", "/v1/posts/1"), ("PUT", "/v1/feed/read")]
        {
            assert_eq!(demo.allows(origin, method, path).as_deref(), Some(origin), "{path}");
        }
        for path in
            ["/demo.json", "/demo.json?as=friend", "/demo/engine.json", "/v1/admin/status", "/v1/admin/users/1/role"]
        {
            assert_eq!(demo.allows(origin, "GET", path), None, "{origin} {path}");
        }
    }
    for origin in ["http://evil.example", "https://localhost:5173", "null", "http://localhost.evil.example:5173"] {
        assert_eq!(demo.allows(origin, "GET", "/v1/feed"), None, "{origin}");
    }
}

#[test]
fn on_a_public_address_the_visitor_is_no_operator_whoever_was_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("world");
    let arguments = ["--data-dir", data_dir.to_str().unwrap()];
    let first = Demo::start(folder.path(), &arguments);
    first.get("/v1/admin/status");
    let token = first.token.clone();
    assert_eq!(first.end(), Some(0));

    let mut public = Demo::start_on("0.0.0.0:0", folder.path(), &arguments);
    assert!(public.words.contains("Nobody of them is an operator"), "{}", public.words);
    public.get("/v1/feed?limit=1");
    for token in [public.token.clone(), token] {
        public.token = token;
        assert_eq!(public.call("GET", "/v1/admin/status", "").0, 403);
    }
    let (_, session) = public.call("POST", "/v1/sessions", &public.get("/demo.json").to_string());
    let session: Value = serde_json::from_str(&session).unwrap();
    public.token = session["token"].as_str().unwrap().to_owned();
    assert_eq!(public.call("GET", "/v1/admin/status", "").0, 403);
    assert_eq!(public.call("PUT", "/v1/admin/users/@demo/role", r#"{"role": "admin"}"#).0, 403);
    // Addresses cannot be turned by a name service; names can.
    assert_eq!(public.raw("GET /readyz HTTP/1.1\r\nhost: 192.0.2.1:7070", "").0, 200);
    assert_eq!(public.raw("GET /readyz HTTP/1.1\r\nhost: evil.example", "").0, 421);
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

/// The number that stands before `what`.
fn number(words: &str, what: &str) -> u64 {
    let before = words.split(&format!(" {what}")).next().unwrap();
    before.rsplit(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("no number of {what} in {words}"))
}

#[test]
fn a_folder_that_holds_something_else_is_no_place_for_a_demo() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_str().unwrap();
    let command = |name: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
        command.env_remove("FANFARE_CONFIG").args([name, "--listen", "127.0.0.1:0", "--data-dir", data_dir]);
        command
    };
    let mut server = command("serve").stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = said.find(|line| line.contains("http://")).unwrap();
    let address = line.split("http://").nth(1).unwrap().split(['/', ' ']).next().unwrap().to_owned();
    let demo = Demo { process: server, words: String::new(), address, token: String::new() };
    let body = r#"{"handle": "ann", "password": "correct horse"}"#;
    let mut stream = TcpStream::connect(&demo.address).unwrap();
    let head =
        format!("host: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
    write!(stream, "POST /v1/users HTTP/1.1\r\n{head}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(demo.end(), Some(0));

    let refused = command("demo").output().unwrap();
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0), "{error}");
    assert!(error.contains("choose an empty --data-dir"), "{error}");
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
    let first_words = first.words.clone();
    assert!(first_words.contains("Making a sample world"), "{first_words}");

    // Meanwhile nobody else gets the folder, and what is said about it is one line.
    let mut other = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    other.env_remove("FANFARE_CONFIG").args(["demo", "--listen", "127.0.0.1:0"]).args(arguments);
    let other = other.output().unwrap();
    let error = String::from_utf8_lossy(&other.stderr).into_owned();
    assert_eq!((other.status.code(), other.stdout.len()), (Some(1), 0), "{error}");
    assert!(error.lines().count() == 1 && error.contains("in use") && error.contains("world"), "{error}");

    let password = r#"{"current_password": "fanfare-demo", "new_password": "mine alone"}"#;
    assert_eq!(first.call("PUT", "/v1/users/me/password", password).0, 204);
    assert_eq!(first.end(), Some(0));

    let second = Demo::start(folder.path(), &arguments);
    let words = &second.words;
    assert!(words.contains("Going on with the sample world in") && !words.contains("Making"), "{words}");
    assert!(words.contains("  Log in as        friend, password "), "a password that lets nobody in: {words}");
    let [people, follows, posts] =
        ["people", "follows", "posts"].map(|what| (number(&first_words, what), number(words, what)));
    assert_eq!(people.0, people.1);
    assert!(follows.1 >= follows.0 && posts.1 > posts.0, "{follows:?} {posts:?}");
    assert_eq!(second.get("/v1/users/me")["created_at"], joined);
    assert_eq!(second.get(&format!("/v1/posts/{}", post["id"].as_str().unwrap()))["text"], "Still here tomorrow.");
    assert_eq!(second.end(), Some(0));
}
