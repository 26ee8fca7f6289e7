//! `/openapi.json` against the server that answers it: which calls there are, who may make them, what they refuse and
//! how.

use std::collections::BTreeSet;
use std::path::Path;

use fanfare_client::{Answer, Client};
use fanfare_protocol::PROBLEM_JSON;
use serde_json::Value;

use crate::world::{World, raw};

/// Garbage as it stands in an address: no parameter means it.
const GARBAGE: [&str; 9] = ["", "x", "-1", "0", "99999999999999999999", "%00", "%F0%9F%92%A5", "a%2Fb", "%FF"];
/// Bodies that no call takes as its JSON.
const BODIES: [&str; 9] =
    ["", "{", "[]", "null", "7", "\"\"", "{}", "{\"no_such_field\": 1}", "{\"text\": 7, \"handle\": [], \"role\": {}}"];
/// Headers that come only with some answers of their status.
const SOMETIMES: [&str; 1] = ["Idempotency-Replayed"];
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// An operation of the document.
struct Call {
    method: String,
    path: String,
    told: Value,
}

/// Request with values for what the call takes.
#[derive(Clone)]
struct Request {
    path: Vec<(String, String)>,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: String,
}

impl Call {
    /// A request with the document's own examples, and what is needed to be answered soon.
    fn example(&self, post: &str) -> Request {
        let mut request = Request { path: Vec::new(), query: Vec::new(), headers: Vec::new(), body: String::new() };
        for parameter in self.told["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap().to_owned();
            let example = match &parameter["example"] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            match (parameter["in"].as_str().unwrap(), name.as_str()) {
                ("path", "id") if self.path.contains("/posts/") => request.path.push((name, post.to_owned())),
                ("path", _) => request.path.push((name, example)),
                ("query", "wait") => request.query.push((name, "0".to_owned())),
                ("query", _) if parameter["required"] == true => request.query.push((name, example)),
                _ => {}
            }
        }
        let content = self.told["requestBody"]["content"].as_object();
        if let Some((kind, content)) = content.and_then(|content| content.iter().next()) {
            request.headers.push(("content-type".to_owned(), kind.clone()));
            request.body = content["example"].to_string();
        }
        request
    }

    fn parameters(&self, place: &str) -> Vec<String> {
        let all = self.told["parameters"].as_array().into_iter().flatten();
        all.filter(|one| one["in"] == place).map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    }

    fn streams(&self) -> bool {
        self.told["responses"]["200"]["content"].get("text/event-stream").is_some()
    }

    /// Whether somebody without a token is let in.
    fn is_open(&self, document: &Value) -> bool {
        let security = self.told.get("security").unwrap_or(&document["security"]);
        let requirements = security.as_array().unwrap();
        requirements.is_empty() || requirements.iter().any(|one| one.as_object().unwrap().is_empty())
    }

    async fn send(&self, client: &Client, request: &Request) -> Answer {
        let mut path = self.path.clone();
        for (name, value) in &request.path {
            path = path.replace(&format!("{{{name}}}"), value);
        }
        let query: Vec<String> = request.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let path = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
        let headers: Vec<(&str, &str)> = request.headers.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        raw(client, &self.method.to_uppercase(), &path, &headers, &request.body).await
    }

    /// Differences of the answer from the document.
    fn faults(&self, answer: &Answer) -> Vec<String> {
        let body = String::from_utf8_lossy(&answer.body);
        let Some(told) = self.told["responses"].get(answer.status.as_str()) else {
            return vec![format!("answers {}, which is not described: {body}", answer.status)];
        };
        let mut faults = Vec::new();
        let kind = answer.header("content-type").split(';').next().unwrap_or_default();
        match told["content"].as_object() {
            None if !answer.body.is_empty() => faults.push(format!("has a body with {}: {body}", answer.status)),
            Some(content) if !content.contains_key(kind) && !content.contains_key("*/*") => {
                faults.push(format!("answers {} as {kind:?}", answer.status));
            }
            _ => {}
        }
        for name in told["headers"].as_object().into_iter().flat_map(serde_json::Map::keys) {
            if answer.header(name).is_empty() && !SOMETIMES.contains(&name.as_str()) {
                faults.push(format!("answers {} without {name}", answer.status));
            }
        }
        if kind == PROBLEM_JSON && !answer.body.is_empty() {
            let problem: Value = answer.json().unwrap();
            let examples = &told["content"][PROBLEM_JSON]["examples"];
            if examples.get(problem["code"].as_str().unwrap()).is_none() {
                faults.push(format!("refuses with the code {}, which is not described: {body}", problem["code"]));
            }
        }
        faults
    }
}

fn calls(document: &Value) -> Vec<Call> {
    let paths = document["paths"].as_object().unwrap().iter();
    let of = |(path, item): (&String, &Value)| -> Vec<Call> {
        let operations = item.as_object().unwrap().iter();
        operations
            .map(|(method, told)| Call { method: method.clone(), path: path.clone(), told: told.clone() })
            .collect()
    };
    paths.flat_map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_each_call_does_what_the_document_says() {
    let world = World::new().await;
    let document = world.anyone.openapi().await.unwrap();
    let post = world.person("somebody").await.say("hello").await.unwrap().id.to_string();
    let mut wrong = Vec::new();
    for call in calls(&document) {
        let answer = call.send(&world.anyone, &call.example(&post)).await;
        let open = call.is_open(&document);
        let asked_for_a_token = String::from_utf8_lossy(&answer.body).contains("\"unauthenticated\"");
        let mut faults = call.faults(&answer);
        if open == asked_for_a_token {
            let told = if open { "open" } else { "for people with a token" };
            faults.push(format!("is {told} and answers {}", answer.status));
        }
        wrong.extend(faults.into_iter().map(|fault| format!("{} {} {fault}", call.method, call.path)));
        let forged = call.send(&world.anyone.with_token("ff_nobody"), &call.example(&post)).await;
        wrong.extend(call.faults(&forged).into_iter().map(|fault| format!("{} {} {fault}", call.method, call.path)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Requests with one thing wrong.
fn spoilt(call: &Call, example: &Request) -> Vec<Request> {
    let mut all = vec![example.clone()];
    for (place, value) in (0..example.path.len()).flat_map(|place| GARBAGE.map(|value| (place, value))) {
        // Without the segment it is another path.
        if !value.is_empty() {
            let mut request = example.clone();
            request.path[place].1 = value.to_owned();
            all.push(request);
        }
    }
    for (name, value) in
        call.parameters("query").into_iter().flat_map(|name| GARBAGE.map(|value| (name.clone(), value)))
    {
        let mut request = example.clone();
        request.query.retain(|(other, _)| *other != name);
        request.query.push((name, value.to_owned()));
        all.push(request);
    }
    for name in call.parameters("header") {
        for value in [String::new(), "x".repeat(300), "é".to_owned()] {
            let mut request = example.clone();
            request.headers.push((name.clone(), value));
            all.push(request);
        }
    }
    if !example.body.is_empty() {
        all.extend(BODIES.map(|body| Request { body: body.to_owned(), ..example.clone() }));
        for kind in ["text/plain", "application/json", "multipart/form-data; boundary=x"] {
            all.push(Request { headers: vec![("content-type".to_owned(), kind.to_owned())], ..example.clone() });
        }
        all.push(Request { headers: Vec::new(), ..example.clone() });
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_sent_the_answer_is_one_that_the_document_names() {
    let world = World::new().await;
    let document = world.anyone.openapi().await.unwrap();
    let mut wrong = BTreeSet::new();
    for (number, call) in calls(&document).iter().enumerate() {
        // Each has somebody of its own, for some calls end tokens and accounts.
        let person = world.person(&format!("person{number}")).await;
        let post = person.say("hello").await.unwrap().id.to_string();
        // A stream that is let in does not end.
        let client: &Client = match (call.path.contains("/admin/"), call.streams()) {
            (true, _) => &world.operator,
            (_, true) => &world.anyone,
            _ => &person,
        };
        for request in spoilt(call, &call.example(&post)) {
            let answer = call.send(client, &request).await;
            for fault in call.faults(&answer) {
                wrong.insert(format!("{} {} {fault}", call.method, call.path));
            }
            assert_ne!(answer.status, 500, "{} {}: {answer:?}", call.method, call.path);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_has_the_methods_of_the_document_and_no_others() {
    let world = World::new().await;
    let document = world.anyone.openapi().await.unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        let told: BTreeSet<String> = item.as_object().unwrap().keys().cloned().collect();
        let address: String =
            path.split('/').map(|part| if part.starts_with('{') { "1" } else { part }).collect::<Vec<_>>().join("/");
        for method in METHODS.into_iter().filter(|method| !told.contains(*method)) {
            let answer = raw(&world.anyone, &method.to_uppercase(), &address, &[], "").await;
            // `/v1/users/me/…` and `/v1/users/{user}/…` share addresses.
            let allow: BTreeSet<String> =
                answer.header("allow").split(',').map(|one| one.trim().to_lowercase()).collect();
            assert_eq!(answer.status, 405, "{method} {path} is in no document and answers");
            let allowed: BTreeSet<String> = allow.into_iter().filter(|one| one != "head" && !one.is_empty()).collect();
            assert_eq!(allowed, told, "{path}: what Allow says, and what the document says");
        }
    }
}

/// Every route is made by `routes!`, which puts it into the document; these are the pages beside the API, and what
/// answers in its place: at the address of metrics, and while the server starts.
#[test]
fn no_route_is_made_beside_the_document() {
    let pages = ["src/http/docs.rs", "src/http/welcome/mod.rs", "src/http/scrapes.rs", "src/http/starting.rs"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    let mut made = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.extend((!name.ends_with("tests")).then_some(path));
            } else if name.ends_with(".rs") && !pages.contains(&name.as_str()) {
                let text = std::fs::read_to_string(&path).unwrap();
                made.extend(text.lines().filter(|line| line.contains(".route(")).map(|line| format!("{name}: {line}")));
            }
        }
    }
    assert!(made.is_empty(), "routes without a description:\n{}", made.join("\n"));
}
