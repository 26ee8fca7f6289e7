//! Examples made from schemas, so that every call shows one and none can contradict its schema.
//!
//! A schema's own example comes first; `#[schema(examples(…))]` of the types gives them. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};

/// Schemas within schemas that are followed; what lies deeper is left out.
const DEPTH_MAX: usize = 16;

/// The schemas of the document.
pub(super) struct Samples(BTreeMap<String, Value>);

/// Fields of an object that are shown.
#[derive(Clone, Copy, PartialEq)]
enum Fields {
    /// Fields that must be there, and those with an example of their own: a request that can be sent.
    Needed,
    /// Everything: an answer in full.
    All,
}

impl Samples {
    /// Samples of `schemas`.
    pub(super) fn of(schemas: &BTreeMap<String, RefOr<Schema>>) -> Self {
        let as_json = |(name, schema): (&String, &RefOr<Schema>)| (name.clone(), json!(schema));
        Self(schemas.iter().map(as_json).collect())
    }

    /// Request that a client could send.
    pub(super) fn request(&self, schema: &RefOr<Schema>) -> Value {
        self.sample(&json!(schema), Fields::Needed, DEPTH_MAX)
    }

    /// Answer that the server could give.
    pub(super) fn answer(&self, schema: &RefOr<Schema>) -> Value {
        self.sample(&json!(schema), Fields::All, DEPTH_MAX)
    }

    /// The first line of what the schema's type says of itself.
    pub(super) fn words(&self, schema: &RefOr<Schema>) -> Option<String> {
        let schema = json!(schema);
        let target = self.target(&schema).unwrap_or(&schema);
        let words = target["description"].as_str()?.lines().next()?.trim();
        Some(words.trim_end_matches('.').to_owned())
    }

    fn target(&self, schema: &Value) -> Option<&Value> {
        self.0.get(schema["$ref"].as_str()?.rsplit('/').next()?)
    }

    fn sample(&self, schema: &Value, fields: Fields, depth: usize) -> Value {
        let own = schema["examples"].get(0).or_else(|| schema.get("example")).or_else(|| schema.get("const"));
        if let Some(own) = own.or_else(|| schema["enum"].get(0)) {
            return own.clone();
        }
        let Some(depth) = depth.checked_sub(1) else { return Value::Null };
        if let Some(target) = self.target(schema) {
            return self.sample(target, fields, depth);
        }
        if let Some(parts) = schema["allOf"].as_array() {
            let parts = parts.iter().filter_map(|part| self.sample(part, fields, depth).as_object().cloned());
            return Value::Object(parts.flatten().collect());
        }
        if let Some(choices) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
            return self.choose(choices, fields, depth);
        }
        let (kind, nullable) = kind(schema);
        match kind {
            "object" => self.object(schema, fields, depth),
            "array" => json!([self.sample(&schema["items"], fields, depth)]),
            _ if nullable => Value::Null,
            "string" => json!("text"),
            "integer" | "number" => schema.get("minimum").cloned().unwrap_or(json!(1)),
            "boolean" => json!(false),
            "null" => Value::Null,
            _ => json!({}),
        }
    }

    /// The first choice that says something; `null` rather than a whole object where either is right.
    fn choose(&self, choices: &[Value], fields: Fields, depth: usize) -> Value {
        let nullable = choices.iter().any(|choice| kind(choice).0 == "null");
        let says = |choice: &&Value| {
            let object = kind(self.target(choice).unwrap_or(choice)).0 == "object";
            kind(choice).0 != "null" && !(nullable && object)
        };
        choices.iter().find(says).map_or(Value::Null, |choice| self.sample(choice, fields, depth))
    }

    fn object(&self, schema: &Value, fields: Fields, depth: usize) -> Value {
        let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
        let shown = |name: &str, property: &Value| {
            fields == Fields::All || required.iter().any(|one| one == name) || property.get("examples").is_some()
        };
        let properties = schema["properties"].as_object().into_iter().flatten();
        let sampled = properties
            .filter(|(name, property)| shown(name, property))
            .map(|(name, property)| (name.clone(), self.sample(property, fields, depth)));
        Value::Object(sampled.collect::<Map<String, Value>>())
    }
}

/// The type of a schema, and whether `null` is one of its values.
fn kind(schema: &Value) -> (&str, bool) {
    match &schema["type"] {
        Value::String(kind) => (kind, false),
        Value::Array(kinds) => {
            let first = kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("null");
            (first, kinds.iter().any(|kind| kind == "null"))
        }
        _ if schema.get("properties").is_some() => ("object", false),
        _ => ("", false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> (Samples, RefOr<Schema>) {
        let schemas = json!({
            "Id": {"type": "string", "examples": ["17"]},
            "Note": {
                "type": "object",
                "required": ["id", "text", "kind"],
                "properties": {
                    "id": {"$ref": "#/components/schemas/Id"},
                    "text": {"type": "string", "examples": ["Hello"]},
                    "kind": {"type": "string", "enum": ["short", "long"]},
                    "answers": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Id"}]},
                    "quotes": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Note"}]},
                    "count": {"type": "integer", "minimum": 3},
                    "words": {"type": "array", "items": {"type": "string"}},
                    "title": {"type": ["string", "null"]}
                }
            }
        });
        let reference = json!({"$ref": "#/components/schemas/Note"});
        let schemas = serde_json::from_value::<BTreeMap<String, RefOr<Schema>>>(schemas).unwrap();
        (Samples::of(&schemas), serde_json::from_value(reference).unwrap())
    }

    #[test]
    fn a_request_shows_what_it_needs_and_an_answer_everything() {
        let (samples, note) = samples();
        assert_eq!(samples.request(&note), json!({"id": "17", "text": "Hello", "kind": "short"}));
        let answer = json!({"id": "17", "text": "Hello", "kind": "short", "answers": "17", "quotes": null, "count": 3,
            "words": ["text"], "title": null});
        assert_eq!(samples.answer(&note), answer);
    }
}
