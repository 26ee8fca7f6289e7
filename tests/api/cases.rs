//! The inputs of public bug reports, when their file lies beside the clone: each kind is run from the file, against the
//! parser and against a running server, or has a test of its own, which is named here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fanfare::posts::text;
use fanfare_client::Paging;
use fanfare_protocol::{Code, NewUser, Post, User};
use serde_json::{Value, json};

use crate::world::{PASSWORD, Person, World, json as call, problem_of};

/// Kinds that are run from the file.
const FROM_THE_FILE: &[&str] = &[
    "link.bare_host_followed",
    "link.idn_host",
    "link.markdown_bbcode",
    "link.punctuation_of_other_scripts",
    "link.query_chars",
    "link.trailing_char",
    "mention.email_address",
    "mention.prefix_before_letter",
    "text.blank_post",
    "profile.blank_display_name",
    "profile.bio_line_ends",
    "search.normalisation",
    "password.normalisation",
];

/// Kinds that tell a story, and the test that tells it.
const TOLD: &[(&str, &str)] = &[
    ("thread.deleted_middle", "a_thread_goes_on_across_a_deleted_post"),
    ("count.posts_count", "posts_count_is_what_the_profile_lists"),
    ("media.place_kept", "the_place_of_a_photo_is_removed_from_every_type"),
    ("realtime.empty_last_event_id", "an_empty_last_event_id_resumes_from_the_cursor"),
    ("like.undo_after_block", "a_like_can_be_taken_back_after_a_block"),
    ("jwt.leeway_realtime", "a_jwt_within_the_leeway_opens_realtime_as_it_opens_everything"),
    ("jwt.logout_future_iat", "logging_out_everywhere_ends_a_jwt_that_was_issued_ahead"),
    ("clock.jump_ahead_poll", "a_poll_goes_on_when_the_clock_was_ahead_for_a_while"),
];

/// Line of the file.
struct Case {
    kind: String,
    call: String,
    input: Value,
    expected: Value,
}

impl Case {
    fn text(&self) -> &str {
        self.input["text"].as_str().unwrap()
    }
}

/// Whether the file is there; says so if not.
fn cases() -> Option<Vec<Case>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/cases/text-and-accounts.jsonl");
    let Ok(lines) = std::fs::read_to_string(&file) else {
        eprintln!("skipped: {} is not there", file.display());
        return None;
    };
    let case = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        let word = |name: &str| value[name].as_str().unwrap().to_owned();
        Case {
            kind: word("kind"),
            call: word("call"),
            input: value["input"].clone(),
            expected: value["expected"].clone(),
        }
    };
    Some(lines.lines().map(case).collect())
}

fn of(cases: Vec<Case>, kinds: &[&str]) -> Vec<Case> {
    let found: Vec<Case> =
        cases.into_iter().filter(|case| kinds.iter().any(|kind| case.kind.starts_with(kind))).collect();
    assert!(!found.is_empty(), "no case of {kinds:?}");
    found
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// The attributes of the test `name`, in the one file that has it.
fn attributes_of(name: &str) -> Option<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api");
    let rust = sources(&here).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let texts = rust.map(|path| std::fs::read_to_string(path).unwrap());
    let mut found = texts.filter_map(|text| {
        let (before, _) = text.split_once(&format!("fn {name}()"))?;
        Some(before.rsplit("\n\n").next().unwrap_or_default().to_owned())
    });
    found.next()
}

#[test]
fn every_kind_of_the_file_is_run_or_told_by_a_test_that_is_there() {
    for (kind, name) in TOLD {
        let Some(attributes) = attributes_of(name) else { panic!("{kind} has no test: {name} is not there") };
        assert!(attributes.contains("test"), "{name} is no test:\n{attributes}");
        assert!(!attributes.contains("#[ignore"), "{kind}: {name} is not run");
    }
    let Some(cases) = cases() else { return };
    let known: BTreeSet<&str> = FROM_THE_FILE.iter().copied().chain(TOLD.iter().map(|(kind, _)| *kind)).collect();
    let found: BTreeSet<&str> = cases.iter().map(|case| case.kind.as_str()).collect();
    assert_eq!(found, known);
}

#[test]
fn texts_are_parsed_as_the_file_says() {
    let Some(cases) = cases() else { return };
    for case in of(cases, &["link.", "mention.", "text.blank_post"]) {
        let parsed = text::parse(case.text(), 500).unwrap();
        if case.kind == "text.blank_post" {
            assert_eq!(parsed.text, "", "{}", case.input);
            continue;
        }
        let links: Vec<String> = parsed.links.into_iter().map(|link| link.url).collect();
        let mentions: Vec<String> = parsed.mentions.into_iter().map(|mention| mention.handle_key).collect();
        let found = json!({ "links": links, "mentions": mentions });
        for (name, expected) in case.expected.as_object().unwrap() {
            assert_eq!(&found[name], expected, "{}: {}", case.kind, case.text());
        }
    }
}

/// Everybody who could be named by mistake: whose handle is what stands behind an `@`.
async fn people_near(world: &World, cases: &[Case]) {
    let near = |case: &Case| {
        let rest = case.text().split_once('@')?.1;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        Some(rest[..end].to_ascii_lowercase()).filter(|handle| !handle.is_empty())
    };
    for handle in cases.iter().filter_map(near).collect::<BTreeSet<String>>() {
        world.person(&handle).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_are_answered_as_the_file_says() {
    let Some(cases) = cases() else { return };
    let cases = of(cases, &["link.", "mention.", "text.blank_post"]);
    let world = World::new().await;
    let author = world.person("author").await;
    people_near(&world, &cases).await;
    for case in &cases {
        assert_eq!(case.call, "POST /v1/posts");
        let body = json!({ "text": case.text() }).to_string();
        let answer = call(&author, "POST", "/v1/posts", &body).await;
        if case.kind == "text.blank_post" {
            let problem = problem_of(&answer);
            assert_eq!((problem.code, &*problem.errors[0].field), (Code::ValidationFailed, "text"), "{}", case.input);
            continue;
        }
        let post: Post = answer.json().unwrap();
        let mentions: Vec<String> = post.mentions.into_iter().map(|mention| mention.handle).collect();
        let found = json!({ "links": post.links, "mentions": mentions });
        for (name, expected) in case.expected.as_object().unwrap() {
            assert_eq!(&found[name], expected, "{}: {}", case.kind, case.text());
        }
    }
}

async fn patched(person: &Person, patch: &Value) -> User {
    let answer = call(person, "PATCH", "/v1/users/me", &patch.to_string()).await;
    assert_eq!(answer.status, 200, "{patch}");
    answer.json().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn profiles_are_answered_as_the_file_says() {
    let Some(cases) = cases() else { return };
    let world = World::new().await;
    let person = world.person("somebody").await;
    for case in of(cases, &["profile."]) {
        match (case.kind.as_str(), case.call.as_str()) {
            ("profile.blank_display_name", "PATCH /v1/users/me") => {
                let user = patched(&person, &json!({ "display_name": case.input["display_name"] })).await;
                assert_eq!(user.display_name, "somebody", "{}", case.input);
            }
            ("profile.blank_display_name", "POST /v1/users") => {
                let new: NewUser = serde_json::from_value(case.input.clone()).unwrap();
                let user = world.anyone.register(&new).await.unwrap().user;
                assert_eq!(user.display_name, new.handle);
            }
            ("profile.bio_line_ends", "PATCH /v1/users/me") => {
                let bio = case.input["bio"].as_str().unwrap();
                let user = patched(&person, &json!({ "bio": bio })).await;
                assert_eq!(user.bio, bio.replace("\r\n", "\n"));
            }
            (kind, call) => panic!("nobody runs {kind} of {call}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_and_passwords_are_found_as_the_file_says() {
    let Some(cases) = cases() else { return };
    let world = World::new().await;
    let person = world.person("somebody").await;
    for case in of(cases, &["search.", "password."]) {
        let word = |name: &str| case.input[name].as_str().unwrap();
        match case.call.as_str() {
            "GET /v1/search/users?q=" => {
                patched(&person, &json!({ "display_name": word("display_name") })).await;
                let found = person.search_users(word("q"), Paging::default()).await.unwrap().items;
                assert_eq!(found.len(), 1, "{}", case.input);
                // The name is kept as it was written.
                assert_eq!(found[0].display_name, word("display_name"));
            }
            "POST /v1/sessions" => {
                let registered = word("registered_with").split(' ').next().unwrap();
                assert_eq!(registered, "p\u{e4}ssw\u{f6}rd-lang", "composed, as the file says");
                let password = registered.to_owned();
                world
                    .anyone
                    .register(&NewUser { handle: "typist".into(), password, display_name: None })
                    .await
                    .unwrap();
                for typed in [registered, "pa\u{308}sswo\u{308}rd-lang"] {
                    assert!(world.anyone.log_in("typist", typed).await.is_ok(), "{typed:?}");
                }
            }
            call => panic!("nobody runs {} of {call}", case.kind),
        }
    }
    assert!(world.anyone.log_in("somebody", PASSWORD).await.is_ok());
}
