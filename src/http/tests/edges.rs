//! Callers, and what the layer does to every request and answer.

use super::*;

#[tokio::test]
async fn a_token_names_the_caller_whatever_the_case_of_the_scheme() {
    let app = app();
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let answer = app.get("/me", &[("authorization", &format!("{scheme} person"))]).await;
        assert_eq!((answer.status, &*answer.body), (200, "\"7\""));
    }
}

#[tokio::test]
async fn a_missing_malformed_or_unknown_token_is_401() {
    let app = app();
    let long = format!("Bearer {}", "x".repeat(10_000));
    let person_in_basic = "Basic cGVyc29uOg==";
    for header in [
        None,
        Some(""),
        Some("person"),
        Some("Bearer"),
        Some("Bearer "),
        Some("Bearer a b"),
        Some(person_in_basic),
        Some("Bearer x"),
        Some(&long),
    ] {
        let headers: Vec<(&str, &str)> = header.iter().map(|value| ("authorization", *value)).collect();
        for path in ["/me", "/operators"] {
            assert_eq!(app.get(path, &headers).await.problem().code, Code::Unauthenticated, "{path} {header:?}");
        }
    }
}

#[tokio::test]
async fn who_reads_may_be_nobody_unless_public_reads_are_off() {
    let open = app();
    assert_eq!(open.get("/maybe", &[]).await.body, "null");
    assert_eq!(open.get("/maybe", &[("authorization", "Bearer person")]).await.body, "\"7\"");
    assert_eq!(open.get("/maybe", &[("authorization", "Bearer x")]).await.status, 401);
    let closed = app_with(|settings| settings.api.public_reads = false);
    assert_eq!(closed.get("/maybe", &[]).await.problem().code, Code::Unauthenticated);
    assert_eq!(closed.get("/maybe", &[("authorization", "Bearer person")]).await.status, 200);
}

#[tokio::test]
async fn operators_come_in_by_the_admin_token_or_by_their_role() {
    let app = app();
    for (token, status) in [(&*app.admin_token, 200), ("operator", 200), ("person", 403), ("x", 401)] {
        assert_eq!(
            app.get("/operators", &[("authorization", &format!("Bearer {token}"))]).await.status,
            status,
            "{token}"
        );
    }
}

#[tokio::test]
async fn metrics_are_for_who_shows_a_token_wherever_they_are() {
    let app = app();
    app.get("/items/1", &[]).await;
    let (admin, metrics) = (format!("Bearer {}", app.admin_token), format!("Bearer {}", app.metrics_token));
    let seen = app.get("/metrics", &[("authorization", &metrics)]).await;
    assert_eq!(seen.status, 200);
    let counted = "fanfare_http_requests_total{route=\"/items/{id}\",method=\"GET\",status=\"200\"}";
    assert!(seen.body.contains(counted), "{}", seen.body);
    assert!(seen.body.contains("fanfare_http_request_seconds_bucket{route=\"/items/{id}\""), "{}", seen.body);
    for peer in ["127.0.0.1:1", "[::1]:1", "192.0.2.1:1"] {
        for (token, status) in [
            (None, 401),
            (Some("Bearer x"), 401),
            (Some("Basic x"), 401),
            (Some("Bearer person"), 403),
            (Some(admin.as_str()), 200),
            (Some(metrics.as_str()), 200),
        ] {
            let headers: Vec<_> = token.iter().map(|token| ("authorization", *token)).collect();
            assert_eq!(app.get_from(peer, "/metrics", &headers).await.status, status, "{peer} {headers:?}");
        }
    }
    assert_eq!(app.get("/operators", &[("authorization", &metrics)]).await.status, 401);
}

#[tokio::test]
async fn the_client_is_named_by_trusted_proxies_only() {
    let app = app_with(|settings| settings.http.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()]);
    let forwarded = [("x-forwarded-for", "203.0.113.66, 198.51.100.1")];
    assert_eq!(app.get_from("10.0.0.1:1", "/address", &forwarded).await.body, "198.51.100.1");
    assert_eq!(app.get_from("192.0.2.1:1", "/address", &forwarded).await.body, "192.0.2.1");
}

#[tokio::test]
async fn every_answer_carries_a_request_id_the_clients_own_when_it_is_sane() {
    let app = app();
    for path in
        ["/healthz", "/items/1", "/items/x", "/nothing", "/panic", "/fails", "/docs/", "/openapi.json", "/limited"]
    {
        assert_eq!(app.get(path, &[("x-request-id", "abc-1.2_3")]).await.header("x-request-id"), "abc-1.2_3", "{path}");
        let (one, two) = (app.get(path, &[]).await, app.get(path, &[]).await);
        assert_eq!(one.header("x-request-id").len(), 16);
        assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
    }
    for insane in ["", "a b", "<script>", &"x".repeat(65)] {
        assert_eq!(app.get("/healthz", &[("x-request-id", insane)]).await.header("x-request-id").len(), 16, "{insane}");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let app = app();
    assert_eq!(app.get("/nothing", &[]).await.problem().code, Code::NotFound);
    assert_eq!(app.get("/docs/nothing.js", &[]).await.problem().code, Code::NotFound);
    let wrong = app.send(Request::delete("/items").body(Body::empty()).unwrap()).await;
    assert_eq!(wrong.problem().code, Code::MethodNotAllowed);
    assert_eq!(wrong.header("allow"), "GET,HEAD");
    let made_up = app.send(Request::builder().method("BREW").uri("/items").body(Body::empty()).unwrap()).await;
    assert_eq!(made_up.problem().code, Code::MethodNotAllowed);
}

#[tokio::test]
async fn causes_stay_inside() {
    let app = app();
    for path in ["/panic", "/fails"] {
        let answer = app.get(path, &[]).await;
        assert_eq!(answer.problem().code, Code::Internal);
        assert!(!answer.body.contains("secret"), "{}", answer.body);
    }
}

#[tokio::test]
async fn answers_carry_security_headers_and_retry_times() {
    let app = app();
    let answer = app.get("/items", &[]).await;
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(answer.header("content-security-policy").contains("default-src 'none'"));
    assert_eq!(app.get("/limited", &[]).await.header("retry-after"), "9");
}

#[tokio::test]
async fn readiness_rises_after_the_start_and_falls_for_good_when_draining() {
    let app = app();
    assert_eq!(app.get("/readyz", &[]).await.problem().code, Code::Overloaded);
    app.http.readiness().advance(Phase::Ready);
    assert_eq!(app.get("/readyz", &[]).await.status, 200);
    app.http.readiness().advance(Phase::Draining);
    app.http.readiness().advance(Phase::Ready);
    assert_eq!(app.get("/readyz", &[]).await.status, 503);
    assert_eq!(app.get("/healthz", &[]).await.status, 200);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up() {
    let answer = app_with(|settings| settings.http.request_timeout_s = 1).get("/forever", &[]).await;
    assert_eq!(answer.problem().code, Code::Overloaded);
}

#[tokio::test]
async fn of_a_change_that_takes_too_long_nobody_knows_whether_it_was_done() {
    let app = app_with(|settings| settings.http.request_timeout_s = 1);
    let (router, request) =
        (app.router.clone(), Request::post("/gate").header("host", "x").body(Body::empty()).unwrap());
    let answer = Answer::of(router.oneshot(request).await.unwrap()).await;
    assert_eq!((answer.problem().code, answer.header("retry-after")), (Code::OutcomeUnknown, "1"));
    // It was not cut off.
    assert_eq!(app.http.writes().len(), 1);
    app.gate.add_permits(1);
    app.http.writes().close();
    app.http.writes().wait().await;
}

/// Storage that hung took the places of all requests, reads and all, for what had been answered long before.
#[tokio::test]
async fn what_goes_on_after_its_answer_keeps_nobody_out_and_is_bounded() {
    let app = app_with(|settings| {
        settings.http.request_timeout_s = 1;
        settings.http.requests_in_flight_max = 2;
    });
    let posted = async || {
        let request = Request::post("/gate").header("host", "x").body(Body::empty()).unwrap();
        Answer::of(app.router.clone().oneshot(request).await.unwrap()).await.problem().code
    };
    assert_eq!(tokio::join!(posted(), posted()), (Code::OutcomeUnknown, Code::OutcomeUnknown));
    assert_eq!(app.get("/items", &[]).await.status, 200);
    assert_eq!(tokio::join!(posted(), posted()), (Code::OutcomeUnknown, Code::OutcomeUnknown));
    assert_eq!(app.http.writes().len(), 4, "they go on");
    assert_eq!(posted().await, Code::Overloaded, "and are bounded");
    app.gate.add_permits(4);
    app.http.writes().close();
    app.http.writes().wait().await;
    assert_eq!(app.get("/items", &[]).await.status, 200);
}

#[tokio::test]
async fn failures_of_storage_say_whether_it_may_have_been_done_and_reads_only_that_it_is_away() {
    use fanfare_engines::EngineError;
    let failing = |how: &str| match how {
        "unknown" => EngineError::Unknown("lost".to_owned()),
        "closed" => EngineError::Closed("ended".to_owned()),
        _ => EngineError::Unavailable("away".to_owned()),
    };
    for (how, code) in [("unknown", Code::OutcomeUnknown), ("closed", Code::Overloaded), ("away", Code::Overloaded)] {
        for method in ["GET", "POST"] {
            let app = app();
            let route = axum::routing::any(async move || Err::<(), Error>(failing(how).into()));
            let layer = axum::middleware::from_fn_with_state(app.http.clone(), layer::pass);
            let router: axum::Router = axum::Router::new().route("/failing", route).layer(layer);
            let request =
                Request::builder().method(method).uri("/failing").header("host", "x").body(Body::empty()).unwrap();
            let answer = Answer::of(router.oneshot(request).await.unwrap()).await;
            let code = if method == "GET" { Code::Overloaded } else { code };
            assert_eq!((answer.problem().code, answer.header("retry-after")), (code, "1"), "{method} {how}");
        }
    }
}

#[tokio::test]
async fn beyond_the_bound_requests_are_refused_and_health_still_answers() {
    let app = app_with(|settings| settings.http.requests_in_flight_max = 1);
    let (router, request) =
        (app.router.clone(), Request::post("/gate").header("host", "x").body(Body::empty()).unwrap());
    let first = tokio::spawn(router.oneshot(request));
    app.arrived.acquire().await.unwrap().forget();
    assert_eq!(app.get("/items", &[]).await.problem().code, Code::Overloaded);
    assert_eq!(app.get("/healthz", &[]).await.status, 200);
    let metrics = format!("Bearer {}", app.metrics_token);
    let seen = app.get("/metrics", &[("authorization", &metrics)]).await;
    assert!(seen.body.contains("fanfare_http_requests_in_flight"));
    app.gate.add_permits(1);
    assert_eq!(first.await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(app.get("/items", &[]).await.status, 200);
}

#[tokio::test]
async fn requests_that_a_proxy_passes_on_count_for_their_clients() {
    let app = app_with(|settings| {
        settings.http.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        settings.http.connections_per_address_max = 2;
    });
    let from = |client: &str| {
        let request = Request::post("/gate").header("host", "x").header("x-forwarded-for", client);
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo("10.0.0.1:1".parse::<SocketAddr>().unwrap()));
        request
    };
    let under_way: Vec<_> = (0..2).map(|_| tokio::spawn(app.router.clone().oneshot(from("2001:db8::1")))).collect();
    app.arrived.acquire_many(2).await.unwrap().forget();
    let refused = app.send(from("2001:db8::2")).await;
    assert_eq!(refused.problem().code, Code::RateLimited, "{refused:?}");
    let forwarded = [("x-forwarded-for", "192.0.2.1")];
    assert_eq!(app.get_from("10.0.0.1:1", "/items", &forwarded).await.status, 200);
    assert_eq!(app.get_from("10.0.0.1:1", "/healthz", &[("x-forwarded-for", "2001:db8::2")]).await.status, 200);
    app.gate.add_permits(2);
    for one in under_way {
        assert_eq!(one.await.unwrap().unwrap().status(), StatusCode::OK);
    }
    assert_eq!(app.get_from("10.0.0.1:1", "/items", &[("x-forwarded-for", "2001:db8::2")]).await.status, 200);
}

#[tokio::test]
async fn other_origins_may_call_only_when_they_are_listed() {
    let preflight = |origin: &str| {
        let request =
            Request::options("/items").header("origin", origin).header("access-control-request-method", "GET");
        request.body(Body::empty()).unwrap()
    };
    let listed = app_with(|settings| settings.http.cors_origins = vec!["https://app.example".parse().unwrap()]);
    let allowed = listed.send(preflight("https://app.example")).await;
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (200, "https://app.example"));
    // What EventSource polyfills, HTTP libraries and players of media send.
    let may_send = allowed.header("access-control-allow-headers");
    for name in ["authorization", "content-type", "idempotency-key", "cache-control", "last-event-id", "range"] {
        assert!(may_send.split(',').any(|allowed| allowed.trim() == name), "{name} in {may_send}");
    }
    assert_eq!(listed.send(preflight("https://evil.example")).await.header("access-control-allow-origin"), "");
    let get = listed.get("/items", &[("origin", "https://app.example")]).await;
    assert!(get.header("access-control-expose-headers").contains("x-request-id"), "{get:?}");
    assert_eq!(
        app().get("/items", &[("origin", "https://app.example")]).await.header("access-control-allow-origin"),
        ""
    );
    let all = app_with(|settings| settings.http.cors_origins = vec!["*".parse().unwrap()]);
    assert_eq!(all.send(preflight("https://any.example")).await.header("access-control-allow-origin"), "*");
}

#[tokio::test]
async fn the_docs_are_served_without_the_internet() {
    let app = app();
    let page = app.get("/docs/", &[]).await;
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("https://") && page.body.contains("swagger-ui"), "{}", page.body);
    for file in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js"] {
        assert_eq!(app.get(&format!("/docs/{file}"), &[]).await.status, 200, "{file}");
    }
    // A token that is tried there goes nowhere else, and is not kept.
    let policy = page.header("content-security-policy");
    for directive in ["object-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"] {
        assert!(policy.contains(directive), "{directive} in {policy}");
    }
    let script = app.get("/docs/swagger-initializer.js", &[]).await.body;
    assert!(script.contains("persistAuthorization") && !script.contains("\"persistAuthorization\": true"), "{script}");
    let document: serde_json::Value = serde_json::from_str(&app.get("/openapi.json", &[]).await.body).unwrap();
    assert!(document["paths"]["/readyz"]["get"]["responses"]["503"].is_object(), "{document}");
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    assert!(document["components"]["schemas"]["Problem"].is_object());
}

#[tokio::test]
async fn every_code_is_explained_where_its_type_points() {
    let page = app().get("/docs/problems", &[]).await;
    for (code, advice) in docs::CODES {
        let kind = Problem::new(code, "").kind;
        let anchor = kind.strip_prefix("/docs/problems#").unwrap();
        assert!(page.body.contains(&format!("id=\"{anchor}\"")) && page.body.contains(advice), "{kind}");
    }
    let document: serde_json::Value = serde_json::from_str(&app().get("/openapi.json", &[]).await.body).unwrap();
    for code in document["components"]["schemas"]["Code"]["enum"].as_array().unwrap() {
        let code = code.as_str().unwrap();
        assert!(code == "unknown" || page.body.contains(&format!("id=\"{code}\"")), "{code} is not explained");
    }
}
