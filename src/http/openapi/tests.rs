//! Every operation of the whole API says everything that a client needs.

use std::collections::BTreeMap;

use fanfare_protocol::Code;
use serde_json::Value;

/// Longest summary: one line of the page.
const SUMMARY_CHARS_MAX: usize = 80;

/// The document of the demo, which has all routes of a server and its own.
fn document() -> Value {
    let routes = crate::routes::api().merge(crate::demo::welcome::routes());
    serde_json::to_value(crate::http::routes::document(routes)).unwrap()
}

/// Method, path and description of every operation.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, item): (&String, &'_ Value)| -> Vec<String> {
        item.as_object().unwrap().keys().map(|method| format!("{method} {path}")).collect()
    };
    let names: Vec<String> = paths.iter().flat_map(of).collect();
    names
        .into_iter()
        .map(|name| {
            let (method, path) = name.split_once(' ').unwrap();
            let operation = &paths[path][method];
            (name, operation)
        })
        .collect()
}

fn at_least_one_example(operation: &Value) -> bool {
    let shown = |content: &Value| content.get("example").is_some() || content.get("examples").is_some();
    let mut bodies = vec![&operation["requestBody"]["content"]];
    bodies.extend(operation["responses"].as_object().unwrap().values().map(|response| &response["content"]));
    bodies.into_iter().filter_map(Value::as_object).flat_map(|content| content.values()).any(shown)
}

/// Parts that an operation lacks; empty when all is there.
fn gaps(operation: &Value, document: &Value) -> Vec<String> {
    let mut gaps = Vec::new();
    let mut want = |there: bool, what: &str| gaps.extend((!there).then(|| what.to_owned()));
    let text = |name: &str| operation[name].as_str().unwrap_or_default();
    let tag = operation["tags"][0].as_str().unwrap_or_default();
    let summary = text("summary");
    want(document["tags"].as_array().unwrap().iter().any(|known| known["name"] == tag), "a tag that is described");
    want(
        (1..=SUMMARY_CHARS_MAX).contains(&summary.chars().count()) && !summary.contains('\n'),
        "a summary of one line",
    );
    want(!text("description").trim().is_empty(), "a description (a second paragraph of the doc comment)");
    let verb = text("operationId").strip_prefix(&format!("{tag}_")).unwrap_or_default();
    want(verb.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') && !verb.is_empty(), "an id tag_verb");
    want(at_least_one_example(operation), "an example");
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = &parameter["name"];
        let described = parameter["description"].is_string() || parameter["schema"]["$ref"].is_string();
        want(described, &format!("words for the parameter {name}"));
        let shown = parameter["required"] != true || parameter.get("example").is_some();
        want(shown, &format!("an example of the parameter {name}"));
    }
    for (status, response) in operation["responses"].as_object().unwrap() {
        let described = response["description"].as_str().is_some_and(|words| !words.is_empty());
        want(described, &format!("words for the answer {status}"));
        want(response["headers"].get("X-Request-Id").is_some(), &format!("the id of the request in answer {status}"));
        if status.parse::<u16>().is_ok_and(|status| status >= 400 && status != 416) {
            let known = &document["components"]["examples"];
            let examples = response["content"]["application/problem+json"]["examples"].as_object();
            let names = examples.into_iter().flat_map(serde_json::Map::keys);
            let codes: Vec<Option<Code>> =
                names.map(|name| serde_json::from_value(known[name]["value"]["code"].clone()).ok()).collect();
            let fits = |code: &Option<Code>| code.is_some_and(|code| code.status().to_string() == *status);
            let right = !codes.is_empty() && codes.iter().all(fits);
            want(right, &format!("the codes of the answer {status}"));
        }
    }
    gaps
}

#[test]
fn every_operation_says_everything() {
    let document = document();
    let mut lacking = String::new();
    let mut ids: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let operations = operations(&document);
    for (name, operation) in &operations {
        for gap in gaps(operation, &document) {
            lacking += &format!("{name} lacks {gap}\n");
        }
        ids.entry(operation["operationId"].as_str().unwrap_or_default()).or_default().push(name);
    }
    for (id, names) in ids.into_iter().filter(|(_, names)| names.len() > 1) {
        lacking += &format!("{id} is the id of {}\n", names.join(" and "));
    }
    assert!(lacking.is_empty() && operations.len() > 50, "{} operations\n{lacking}", operations.len());
}

#[test]
fn security_is_said_for_all_and_its_schemes_are_known() {
    let document = document();
    assert_eq!(document["security"], serde_json::json!([{"bearer": []}]));
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    for (name, operation) in operations(&document) {
        let requirements = operation["security"].as_array().cloned().unwrap_or_default();
        for scheme in requirements.iter().flat_map(|one| one.as_object().unwrap().keys()) {
            assert!(schemes.contains_key(scheme), "{name} names the scheme {scheme}, which is not described");
        }
        if name.contains(" /v1/admin/") {
            assert!(requirements.iter().any(|one| one.get("admin").is_some()), "{name} does not take the admin token");
            assert!(!requirements.iter().any(|one| one.as_object().unwrap().is_empty()), "{name} is open to all");
        }
    }
}

#[test]
fn an_operation_that_lacks_something_is_found() {
    let document = document();
    let whole = document["paths"]["/v1/posts"]["post"].clone();
    assert_eq!(gaps(&whole, &document), Vec::<String>::new());
    for field in ["summary", "description", "operationId", "tags"] {
        let mut lacking = whole.clone();
        lacking.as_object_mut().unwrap().remove(field);
        assert!(!gaps(&lacking, &document).is_empty(), "nobody missed {field}");
    }
    let mut lacking = whole;
    lacking["responses"]["410"]["content"] = serde_json::json!({});
    assert!(!gaps(&lacking, &document).is_empty(), "nobody missed the codes of a refusal");
}
