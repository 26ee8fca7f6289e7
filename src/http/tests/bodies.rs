//! Bodies, queries and paths: what is taken, and what each refusal names.

use super::*;
use crate::base::limits::http::BODY_IDLE_S;

#[tokio::test]
async fn a_good_body_reaches_the_handler() {
    let answer = app().post("/notes", r#"{"text": "hello", "media_ids": ["5"], "place": {"name": "x"}}"#).await;
    assert_eq!((answer.status, &*answer.body), (200, "hello [#5] Some(\"x\")"));
}

#[tokio::test]
async fn a_bad_body_is_refused_by_code_and_field() {
    use Code::{BadRequest, ValidationFailed};
    let app = app();
    for (body, code, field) in [
        ("", BadRequest, ""),
        ("{", BadRequest, ""),
        ("nonsense", BadRequest, ""),
        ("{\"text\": \"a\"} x", BadRequest, ""),
        ("{\"text\": \"a\",}", BadRequest, ""),
        ("{\"text\": \"\u{1}\"}", BadRequest, ""),
        ("[", BadRequest, ""),
        ("[\"a\"]", ValidationFailed, "body"),
        ("[1]", ValidationFailed, "body"),
        ("7", ValidationFailed, "body"),
        ("null", ValidationFailed, "body"),
        ("{}", ValidationFailed, "text"),
        ("{\"text\": 7}", ValidationFailed, "text"),
        ("{\"text\": null}", ValidationFailed, "text"),
        ("{\"text\": \"a\", \"colour\": \"red\"}", ValidationFailed, "colour"),
        ("{\"colour\": \"red\", \"text\": \"a\"}", ValidationFailed, "colour"),
        ("{\"text\": \"a\", \"text\": \"b\"}", ValidationFailed, "text"),
        ("{\"text\": \"a\", \"media_ids\": [\"1\", 2]}", ValidationFailed, "media_ids[1]"),
        ("{\"text\": \"a\", \"media_ids\": [\"1\", \"2\", \"x\"]}", ValidationFailed, "media_ids[2]"),
        ("{\"text\": \"a\", \"place\": {}}", ValidationFailed, "place.name"),
        ("{\"text\": \"a\", \"place\": {\"name\": \"n\", \"size\": 1}}", ValidationFailed, "place.size"),
        ("{\"text\": \"more than ten\"}", ValidationFailed, "text"),
    ] {
        let answer = app.post("/notes", body).await;
        assert_eq!(answer.refusal(), (code, field.to_owned()), "{body}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused_with_its_line_and_column() {
    let answer = app().post("/notes", "{\n  \"text\": oops\n}").await;
    let detail = answer.problem().detail;
    assert!(detail.contains("line 2, column 11"), "{detail}");
}

#[tokio::test]
async fn a_message_does_not_quote_the_input_without_bound() {
    let body = format!("{{\"text\": \"a\", \"media_ids\": \"{}\"}}", "x".repeat(100_000));
    let answer = app().post("/notes", body).await;
    assert_eq!(answer.refusal(), (Code::ValidationFailed, "media_ids".to_owned()));
    assert!(answer.body.len() < 2_000, "{} bytes", answer.body.len());
}

#[tokio::test]
async fn bytes_that_are_not_utf_8_are_not_json() {
    let answer = app().post("/notes", b"{\"text\": \"\xff\xfe\"}".to_vec()).await;
    assert_eq!(answer.problem().code, Code::BadRequest);
}

#[tokio::test]
async fn only_json_content_types_are_taken() {
    let app = app();
    for (content_type, status) in [
        ("application/json", 200),
        ("APPLICATION/JSON;charset=utf-8", 200),
        ("application/merge-patch+json", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/jsonp", 415),
    ] {
        let request = Request::post("/notes").header("content-type", content_type);
        let answer = app.send(request.body(Body::from("{\"text\": \"a\"}")).unwrap()).await;
        assert_eq!(answer.status, status, "{content_type}");
    }
    let untyped = app.send(Request::post("/notes").body(Body::from("{}")).unwrap()).await;
    assert_eq!(untyped.problem().code, Code::UnsupportedMediaType);
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_whether_its_length_is_told_or_not() {
    let app = app_with(|settings| settings.http.body_bytes_max = 1024);
    let long = format!("{{\"text\": \"{}\"}}", "x".repeat(2000));
    let told = app.post("/notes", long.clone()).await;
    let pieces = long.as_bytes().chunks(100).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect::<Vec<_>>();
    let untold = app.post("/notes", Body::from_stream(futures_util::stream::iter(pieces))).await;
    for answer in [told, untold] {
        assert_eq!(answer.problem().code, Code::PayloadTooLarge);
        assert!(answer.problem().detail.contains("1024 bytes"));
    }
}

#[tokio::test]
async fn a_body_in_many_pieces_is_put_together() {
    let pieces = ["{\"te", "xt\": \"", "hel", "lo\"}"].map(|piece| Ok::<_, std::io::Error>(piece.as_bytes()));
    let answer = app().post("/notes", Body::from_stream(futures_util::stream::iter(pieces))).await;
    assert_eq!((answer.status, &*answer.body), (200, "hello [] None"));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_400() {
    let pieces = [Ok("{\"te"), Err(std::io::Error::other("gone"))];
    let answer = app().post("/notes", Body::from_stream(futures_util::stream::iter(pieces))).await;
    assert_eq!(answer.problem().code, Code::BadRequest);
}

#[tokio::test]
async fn an_idempotency_key_is_bound_to_caller_route_and_body() {
    let app = app();
    let send = async |key: Option<&str>, body: &'static str| {
        let mut request = Request::post("/keyed").header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        app.send(request.body(Body::from(body)).unwrap()).await
    };
    assert_eq!(send(None, "{\"text\": \"a\"}").await.body, "a null");
    let keyed = send(Some("k-1"), "{\"text\":\"a\"}").await.body;
    assert!(keyed.contains(r#""caller":"7","route":"POST /keyed","key":"k-1""#), "{keyed}");
    // printf '{"text":"a"}' | sha256sum
    assert!(keyed.contains("6193c97585a0f731ce7b500bb69d2476816afb14c8d95ac8e6e865f680e9e438"), "{keyed}");
    assert_eq!(send(Some(&"k".repeat(256)), "{\"text\":\"a\"}").await.refusal().1, "Idempotency-Key");
    assert_eq!(send(Some(""), "{\"text\":\"a\"}").await.refusal().1, "Idempotency-Key");
}

#[tokio::test]
async fn paging_has_defaults_and_bounds() {
    let app = app();
    for (query, body) in [
        ("", "20 None"),
        ("?limit=1", "1 None"),
        ("?limit=100&cursor=abc", "100 Some(\"abc\")"),
        ("?utm_source=elsewhere", "20 None"),
    ] {
        assert_eq!(app.get(&format!("/items{query}"), &[]).await.body, body, "{query}");
    }
    for query in [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=%2B5",
        "limit=ten",
        "limit=",
        "limit=1e1",
        "limit=99999999999",
        "limit=1&limit=2",
    ] {
        let answer = app.get(&format!("/items?{query}"), &[]).await;
        assert_eq!(answer.refusal(), (Code::ValidationFailed, "limit".to_owned()), "{query}");
    }
    for query in ["cursor=".to_owned(), format!("cursor={}", "x".repeat(600))] {
        assert_eq!(app.get(&format!("/items?{query}"), &[]).await.problem().code, Code::BadRequest, "{query}");
    }
}

#[tokio::test]
async fn a_path_that_holds_no_id_is_404() {
    let app = app();
    assert_eq!(app.get("/items/42", &[]).await.body, "\"42\"");
    for path in ["/items/x", "/items/-1", "/items/99999999999999999999", "/items/%ff", "/items/4%202"] {
        assert_eq!(app.get(path, &[]).await.problem().code, Code::NotFound, "{path}");
    }
}

/// Behind a proxy, so that two clients can have their bodies on the way at once.
fn body_on_its_way(
    client: &str,
) -> (Request, futures_util::stream::BoxStream<'static, ()>, tokio::sync::mpsc::Sender<Vec<u8>>) {
    use futures_util::StreamExt as _;
    let (send, mut pieces) = tokio::sync::mpsc::channel::<Vec<u8>>(1);
    let (took, taken) = tokio::sync::mpsc::unbounded_channel();
    let pieces = futures_util::stream::poll_fn(move |context| {
        pieces.poll_recv(context).map(|piece| {
            _ = took.send(());
            piece.map(Ok::<_, std::io::Error>)
        })
    });
    let taken = futures_util::stream::unfold(taken, async |mut taken| taken.recv().await.map(|()| ((), taken))).boxed();
    let request = Request::post("/notes").header("host", "x").header("content-type", "application/json");
    let request = request.header("x-forwarded-for", client);
    let mut request = request.body(Body::from_stream(pieces)).unwrap();
    request.extensions_mut().insert(ConnectInfo("10.0.0.1:1".parse::<SocketAddr>().unwrap()));
    (request, taken, send)
}

#[tokio::test]
async fn bodies_on_their_way_share_one_memory_and_no_address_takes_all_of_it() {
    use futures_util::StreamExt as _;
    let app = app_with(|settings| {
        settings.http.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        settings.http.body_memory_bytes_max = 1 << 20;
    });
    let note = |bytes: usize| {
        let mut body = br#"{"text": "a"}"#.to_vec();
        body.resize(bytes, b' ');
        body
    };
    // The pool is five times the largest body, and one address gets a fifth.
    let most = app.http.bodies().largest() as usize;
    let (request, mut taken, send) = body_on_its_way("192.0.2.1");
    let first = tokio::spawn(app.router.clone().oneshot(request));
    send.send(note(most)).await.unwrap();
    taken.next().await.unwrap();
    send.send(b" ".to_vec()).await.unwrap();
    let answer = Answer::of(first.await.unwrap().unwrap()).await;
    assert_eq!(answer.problem().code, Code::Overloaded, "one byte more than a fifth");
    assert!(answer.problem().detail.contains("bodies"));

    // While one address holds its part, another still gets some.
    let (request, mut taken, send) = body_on_its_way("192.0.2.1");
    let first = tokio::spawn(app.router.clone().oneshot(request));
    send.send(note(most)).await.unwrap();
    taken.next().await.unwrap();
    let (request, _taken, other) = body_on_its_way("192.0.2.2");
    let second = tokio::spawn(app.router.clone().oneshot(request));
    other.send(note(most / 2)).await.unwrap();
    drop(other);
    assert_eq!(Answer::of(second.await.unwrap().unwrap()).await.status, 200);
    drop(send);
    assert_eq!(Answer::of(first.await.unwrap().unwrap()).await.status, 200);
    assert_eq!(app.http.addresses().memory_used(), 0, "all of it was given back");
}

#[tokio::test]
async fn bodies_that_drip_hold_a_part_of_the_places_and_others_are_served() {
    let app = app_with(|settings| {
        settings.http.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        settings.http.requests_in_flight_max = 20;
    });
    let mut answers = tokio::task::JoinSet::new();
    let mut senders = Vec::new();
    for client in ["192.0.2.1", "192.0.2.2"] {
        for _ in 0..12 {
            let (request, _, send) = body_on_its_way(client);
            senders.push(send);
            answers.spawn(app.router.clone().oneshot(request));
        }
    }
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(20));
    while app.http.in_flight().available_permits() > 0 {
        looks.tick().await;
    }
    // Four and three are held. Long before the bodies are given up.
    let other = [("x-forwarded-for", "192.0.2.3")];
    let served = async {
        while app.http.in_flight().available_permits() < 12 {
            looks.tick().await;
        }
        assert_eq!(app.get_from("10.0.0.1:1", "/items/1", &other).await.status, 200);
    };
    tokio::time::timeout(std::time::Duration::from_secs(BODY_IDLE_S / 2), served).await.expect("places are left");
    let third = "192.0.2.3".parse().unwrap();
    assert!(app.http.addresses().arrive(third).is_some(), "also when its own is slow");
}
