//! The API's description: what the routes say of themselves, completed by what holds for all of them.
//!
//! A handler names what is its own: tag, parameters, body, success, and the refusals that nobody could guess. What
//! follows from that is added here, once: the prefix of the id, the security of operators' calls, the refusals of a
//! token, a body or a page, headers and examples. So a new route is described in full, or the test below says what it
//! lacks.

mod refusals;
mod samples;

use axum::http::Method;
use fanfare_protocol::{
    AuthorDeleted, ClientFrame, Code, Drain, FeedPosts, FieldError, Gap, Hello, KeyedNotification, Lane, LiveChanged,
    PollAnswer, Pong, PostDeleted, Presence, PresenceList, PresenceWatch, Problem, PublishEvent, Published, ReadMarker,
    RealtimeSession, Reply, Reset, ServerFrame, Stream, Ticket, Transport,
};
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ArrayItems, SchemaType};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    Components, Content, Header, ObjectBuilder, PathItem, Ref, RefOr, Required, Response, Schema, ServerBuilder, Type,
};

use self::samples::Samples;

/// Description of the API besides the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Fanfare",
        description = "A self-hosted social backend: accounts, follows, posts, media, notifications and home feeds. \
            Make an account with `POST /v1/users`, put its token under *Authorize*, and try the calls. Every refusal \
            is a problem (RFC 9457); [the codes](/docs/problems) say what to do."
    ),
    tags(
        (name = "accounts", description = "Register, log in, log out"),
        (name = "people", description = "Profiles, follows, blocks, mutes, search"),
        (name = "posts", description = "Posts, replies, reposts, likes"),
        (name = "feed", description = "The home feed and its read marker"),
        (name = "live", description = "Live sessions: announced, live, over"),
        (name = "links", description = "Short links, and how often they were followed"),
        (name = "notifications", description = "What others did"),
        (name = "chat", description = "Conversations and messages"),
        (name = "media", description = "Uploads"),
        (name = "realtime", description = "Events as they happen, and who is online"),
        (name = "reports", description = "What people tell operators of others"),
        (name = "operators", description = "With the admin token, or as a person with role admin"),
        (name = "operations", description = "Health and metrics")
    ),
    // What frames hold is named by no route.
    components(schemas(
        Problem, Code, FieldError, ServerFrame, ClientFrame, Hello, FeedPosts, PostDeleted, AuthorDeleted, KeyedNotification,
        LiveChanged, Gap, Reset, Drain, ReadMarker, Presence, PresenceList, PresenceWatch, Pong, Reply, Lane, Stream, Transport, Ticket,
        PollAnswer, PublishEvent, Published, RealtimeSession
    ))
)]
pub(super) struct Description;

/// Paths of operators, who need the admin token or an account with role admin.
const OPERATORS: &str = "/v1/admin/";
/// Description of an answer that has neither words of its own nor a schema.
const NO_BODY: &str = "Done; the answer has no body";

/// The document with everything that no handler says for itself.
pub(super) fn complete(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let here = ServerBuilder::new().url("/").description(Some("This server")).build();
    document.servers = Some(vec![here]);
    document.security = Some(vec![requirement("bearer")]);
    let components = document.components.get_or_insert_with(Components::default);
    add_security_schemes(components);
    add_headers(components);
    components.examples.extend(refusals::examples());
    name_items_of_pages(components);
    let samples = Samples::of(&components.schemas);
    for (path, item) in &mut document.paths.paths {
        let PathItem { post, put, patch, delete, .. } = item;
        for changing in [post, put, patch, delete].into_iter().flatten() {
            refusals::tell_of_unknown_outcomes(changing);
        }
        for (method, operation) in operations(item) {
            name(operation);
            secure(path, operation);
            refusals::add(&method, path, operation);
            show_request(operation, &samples);
            for (status, response) in &mut operation.responses.responses {
                if let RefOr::T(response) = response {
                    show_answer(status, response, &samples);
                }
            }
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let methods = [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::PATCH];
    let all = methods.into_iter().zip([get, put, post, delete, patch]);
    all.filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn requirement(scheme: &str) -> SecurityRequirement {
    SecurityRequirement::new::<_, [&str; 0], _>(scheme, [])
}

fn add_security_schemes(components: &mut Components) {
    let bearer = |words: &str| {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(words.to_owned()));
        SecurityScheme::Http(scheme.build())
    };
    let person = "The token of a session, from `POST /v1/users` or `POST /v1/sessions`, or a JWT of the operator's \
                  own backend";
    components.add_security_scheme("bearer", bearer(person));
    components.add_security_scheme("admin", bearer("The operator's token, from `admin.token` in the data folder"));
    let metrics = "The token of who watches the server, from `metrics.token` in the data folder";
    components.add_security_scheme("metrics", bearer(metrics));
    let ticket = "From `POST /v1/realtime/tickets`: good once, within a minute";
    let ticket = ApiKey::Query(ApiKeyValue::with_description("ticket", ticket));
    components.add_security_scheme("ticket", SecurityScheme::ApiKey(ticket));
}

/// Pages say whose items they hold by name, so that generated clients have one type for a post wherever it stands.
fn name_items_of_pages(components: &mut Components) {
    let names: Vec<String> = components.schemas.keys().cloned().collect();
    for (name, schema) in &mut components.schemas {
        if let Some(item) = name.strip_prefix("Page_")
            && names.iter().any(|name| name == item)
            && let RefOr::T(Schema::Object(page)) = schema
            && let Some(RefOr::T(Schema::Array(items))) = page.properties.get_mut("items")
        {
            items.items = ArrayItems::RefOrSchema(Box::new(RefOr::Ref(Ref::from_schema_name(item))));
        }
    }
}

fn add_headers(components: &mut Components) {
    let header = |kind: Type, words: &str, example: Value| -> RefOr<Header> {
        let schema = ObjectBuilder::new().schema_type(kind).examples([example]).build();
        RefOr::T(HeaderBuilder::new().schema(Some(schema)).description(Some(words)).build())
    };
    let headers = [
        ("RequestId", header(Type::String, "Names the request in the server's log", json!("9f86d081884c7d65"))),
        ("Location", header(Type::String, "Where what was made is found", json!("/v1/posts/2118412345678905344"))),
        ("RetryAfter", header(Type::Integer, "Seconds to wait before the request is sent again", json!(1))),
        ("Authenticate", header(Type::String, "The scheme that is asked for", json!("Bearer realm=\"fanfare\""))),
        ("Replayed", header(Type::String, "`true`: the key was seen before, this is the first result", json!("true"))),
    ];
    components.headers.extend(headers.map(|(name, header)| (name.to_owned(), header)));
}

/// Operators' calls take their token; a call that takes none says so in the way that generators read, by an empty list.
fn secure(path: &str, operation: &mut Operation) {
    let none = SecurityRequirement::default();
    match &mut operation.security {
        None if path.starts_with(OPERATORS) => {
            operation.security = Some(vec![requirement("bearer"), requirement("admin")]);
        }
        Some(all) if all.iter().all(|one| *one == none) => all.clear(),
        _ => {}
    }
}

/// An id that is the operation's alone: `tag_verb`, where handlers of several capabilities may have the same name.
fn name(operation: &mut Operation) {
    let tag = operation.tags.iter().flatten().next().cloned().unwrap_or_default();
    let id = operation.operation_id.take().unwrap_or_default();
    let own = if id.starts_with(&format!("{tag}_")) { id } else { format!("{tag}_{id}") };
    operation.operation_id = Some(own);
}

/// A parameter that may be left out is no `null`, which has no form in an address or a header.
fn without_null(schema: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::Object(object)) = schema
        && let SchemaType::Array(kinds) = &object.schema_type
        && let [kind, Type::Null] | [Type::Null, kind] = kinds.as_slice()
    {
        object.schema_type = SchemaType::Type(kind.clone());
    }
}

/// Examples for what a client sends. Parameters that may be left out have none: who tries a call would send them.
fn show_request(operation: &mut Operation, samples: &Samples) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        if let Some(schema) = &mut parameter.schema {
            without_null(schema);
        }
        if parameter.required == Required::True && json!(parameter).get("example").is_none() {
            let example = sample_of(parameter, samples);
            *parameter = ParameterBuilder::from(std::mem::take(parameter)).example(example).build();
        }
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.required = Some(Required::True);
        for (kind, content) in &mut body.content {
            show(kind, content, |schema| samples.request(schema));
        }
    }
}

fn sample_of(parameter: &Parameter, samples: &Samples) -> Option<Value> {
    match (parameter.name.as_str(), &parameter.parameter_in, &parameter.schema) {
        ("user", ParameterIn::Path, _) => Some(json!("@ada")),
        (_, _, Some(schema)) => Some(samples.request(schema)),
        _ => None,
    }
}

/// Words, headers and an example for what the server answers.
fn show_answer(status: &str, response: &mut Response, samples: &Samples) {
    if response.description.is_empty() {
        let schema = response.content.values().find_map(|content| match content {
            RefOr::T(content) => content.schema.as_ref(),
            RefOr::Ref(_) => None,
        });
        let words = schema.and_then(|schema| samples.words(schema));
        response.description = words.unwrap_or_else(|| NO_BODY.to_owned());
    }
    for (kind, content) in &mut response.content {
        show(kind, content, |schema| samples.answer(schema));
    }
    let mut add = |name: &str, component: &str| {
        let reference = Ref::new(format!("#/components/headers/{component}"));
        response.headers.entry(name.to_owned()).or_insert(RefOr::Ref(reference));
    };
    add("X-Request-Id", "RequestId");
    match status {
        "201" => add("Location", "Location"),
        "401" => add("WWW-Authenticate", "Authenticate"),
        "429" | "503" => add("Retry-After", "RetryAfter"),
        _ => {}
    }
}

/// Shows what a body of JSON holds; files and streams are not shown.
fn show(kind: &str, content: &mut RefOr<Content>, sample: impl Fn(&RefOr<Schema>) -> Value) {
    if let RefOr::T(content) = content
        && kind == "application/json"
        && content.example.is_none()
        && content.examples.is_empty()
        && let Some(schema) = &content.schema
    {
        content.example = Some(sample(schema));
    }
}

#[cfg(test)]
mod tests;
