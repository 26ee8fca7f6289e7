//! People who come with tokens of an identity provider that publishes its keys.

mod pace;
mod provider;
mod recipes;
mod refusals;

use std::path::Path;

use fanfare::base::clock::Clock;
use fanfare::config::{Secret, Settings};
use fanfare::users::jwks::published::Pace;
use fanfare::users::jwt::Expected;
use fanfare::users::jwt_keys::{JwtSettings, JwtVerifier, PublishedSettings};
use fanfare_client::Client;
use fanfare_protocol::Code;
use serde_json::{Value, json};

use crate::process::fanfare;
use crate::world::{World, refused};
use provider::{Authority, Provider, Reply, Signer, jwks, test_key, test_key_file};

const NOW_S: u64 = 1_900_000_000;
const ISSUER: &str = "https://id.example/";

fn claims(sub: &str) -> Value {
    json!({ "iss": ISSUER, "sub": sub, "iat": NOW_S, "exp": NOW_S + 600 })
}

fn name(settings: &mut Settings, provider: &Provider) {
    settings.auth.jwt_jwks_url = Some(provider.url());
    settings.auth.jwt_jwks_ca_file = Some(provider.authority.file());
    settings.auth.jwt_issuer = Some(ISSUER.to_owned());
}

async fn world(provider: &Provider) -> World {
    World::at(Clock::by_hand(NOW_S * 1_000), |settings| name(settings, provider)).await
}

fn comes(world: &World, token: &str) -> Client {
    world.anyone.with_token(token)
}

/// Settings of a verifier without a server around it.
fn published(provider: &Provider, data_dir: &Path, pace: Pace) -> JwtSettings {
    let (url, ca_file) = (provider.url(), Some(provider.authority.file()));
    let published = Some(PublishedSettings { url, ca_file, data_dir: data_dir.to_owned(), pace });
    let expected = Expected { issuer: Some(ISSUER.to_owned()), ..Expected::default() };
    JwtSettings { published, expected, ..JwtSettings::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_of_a_provider_are_let_in_and_get_an_account_at_first_sight() {
    let (elliptic, rsa) = (Signer::es256("e1"), Signer::rs256("r1"));
    let provider = Provider::new(Reply::Document(jwks(&[&elliptic, &rsa]))).await;
    let mut world = world(&provider).await;
    let mut ann = claims("5b2f-ann");
    (ann["name"], ann["handle"]) = (json!("Ann"), json!("ann"));
    let first = comes(&world, &elliptic.sign(&ann)).me().await.unwrap();
    assert_eq!((first.handle.as_str(), first.display_name.as_str()), ("ann", "Ann"));
    assert_eq!(comes(&world, &rsa.sign(&ann)).me().await.unwrap().id, first.id);
    assert_ne!(comes(&world, &rsa.sign(&claims("5b2f-bob"))).me().await.unwrap().id, first.id);
    world.restart(&mut []).await;
    assert_eq!(comes(&world, &elliptic.sign(&ann)).me().await.unwrap(), first);
    assert_eq!(provider.asked(), 2, "one request a start");
    let head = &provider.requests()[0];
    assert!(head.starts_with("GET /.well-known/jwks.json HTTP/1.1\r\n"), "{head}");
    assert!(!head.to_lowercase().contains("accept-encoding"), "nothing could unpack it: {head}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_away_at_the_start_is_stood_in_for_by_the_set_that_was_kept() {
    let signer = Signer::es256("e1");
    let provider = Provider::new(Reply::Document(jwks(&[&signer]))).await;
    let mut world = world(&provider).await;
    let token = signer.sign(&claims("ann"));
    let ann = comes(&world, &token).me().await.unwrap();
    world.stop().await;
    let (url, authority) = (provider.url(), provider.go_away().await);
    world.settings.auth.jwt_jwks_ca_file = Some(authority.file());
    world.start().await;
    assert_eq!(comes(&world, &token).me().await.unwrap(), ann);
    assert!(world.anyone.readyz().await.is_ok(), "an old set serves");
    let metrics = world.operator.metrics().await.unwrap();
    for series in [
        r#"fanfare_jwks_fetches_total{outcome="failed"}"#,
        "fanfare_jwks_keys",
        "fanfare_jwks_fetched_timestamp_seconds",
    ] {
        assert!(metrics.contains(series), "{series}\n{metrics}");
    }
    assert_eq!(refused(comes(&world, &Signer::es256("e2").sign(&claims("ann"))).me().await), Code::Unauthenticated);
    // What one address published says nothing about another.
    world.stop().await;
    let other = url.0.to_string().replace("jwks.json", "other.json").parse().unwrap();
    world.settings.auth.jwt_jwks_url = Some(other);
    let refusal = world.refused_start().await;
    assert!(refusal.contains("auth.jwt_jwks_url") && refusal.contains("other.json"), "{refusal}");
    assert!(refusal.contains("cannot connect"), "{refusal}");
}

/// `fanfare config --check` over a file with these lines.
async fn check(folder: &Path, lines: &str) -> (Option<i32>, String) {
    let file = folder.join("fanfare.toml");
    std::fs::write(&file, format!("[server]\ndata_dir = \"{}\"\n{lines}", folder.join("data").display())).unwrap();
    let run = move || fanfare().args(["config", "--check"]).arg(file).output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let words = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code(), words)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn config_check_fetches_the_keys_and_only_no_set_ever_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let signer = Signer::es256("e1");
    let provider = Provider::new(Reply::Document(jwks(&[&signer]))).await;
    let lines = |provider: &Provider| {
        let (url, ca) = (provider.url().0.to_string(), provider.authority.file());
        format!("[auth]\njwt_jwks_url = \"{url}\"\njwt_jwks_ca_file = \"{}\"\njwt_audience = \"us\"\n", ca.display())
    };
    let (code, words) = check(folder.path(), &lines(&provider)).await;
    assert_eq!((code, words.lines().count()), (Some(0), 1), "{words}");
    assert!(!folder.path().join("data").exists(), "a check changes nothing");

    provider.answer(provider::http("503 Service Unavailable", &[], ""));
    let (code, words) = check(folder.path(), &lines(&provider)).await;
    assert_eq!((code, words.lines().count()), (Some(2), 1), "{words}");
    assert!(words.contains("auth.jwt_jwks_url: https://127.0.0.1:") && words.contains("answers 503"), "{words}");

    std::fs::create_dir(folder.path().join("data")).unwrap();
    fanfare::users::jwks::kept::Kept::new(&folder.path().join("data"), &provider.url())
        .store(std::slice::from_ref(&signer.jwk))
        .unwrap();
    let (code, words) = check(folder.path(), &lines(&provider)).await;
    assert_eq!(code, Some(0), "{words}");
    assert!(words.starts_with("note: auth.jwt_jwks_url cannot be fetched now: it answers 503"), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_cannot_be_meant_are_refused_with_the_name_of_the_field() {
    let folder = tempfile::tempdir().unwrap();
    for (lines, expected) in [
        (
            "jwt_jwks_url = \"http://id.example/jwks.json\"",
            "`auth.jwt_jwks_url` cannot be \"http://id.example/jwks.json\"; allowed: an https",
        ),
        ("jwt_jwks_url = \"http://10.0.0.1/jwks.json\"", "`auth.jwt_jwks_url` cannot be"),
        ("jwt_jwks_url = \"http://localhost.example/jwks.json\"", "`auth.jwt_jwks_url` cannot be"),
        ("jwt_jwks_url = \"http://127.0.0.1@id.example/\"", "`auth.jwt_jwks_url` cannot be"),
        ("jwt_jwks_url = \"https://me:secret@id.example/\"", "`auth.jwt_jwks_url` cannot be"),
        ("jwt_jwks_url = \"file:///etc/jwks.json\"", "`auth.jwt_jwks_url` cannot be"),
        ("jwt_jwks_url = \"id.example/jwks.json\"", "`auth.jwt_jwks_url` cannot be"),
        ("jwt_jwks_url = \"\"", "`auth.jwt_jwks_url` cannot be"),
        ("jwt_jwks_ca_file = \"/etc/ca.pem\"", "auth.jwt_jwks_ca_file vouches for auth.jwt_jwks_url"),
        (
            "jwt_jwks_url = \"https://127.0.0.1:1/\"\njwt_jwks_ca_file = \"/nowhere/ca.pem\"",
            "auth.jwt_jwks_ca_file: /nowhere/ca.pem",
        ),
        ("jwt_jwks_file = \"/nowhere/jwks.json\"", "auth.jwt_jwks_file: /nowhere/jwks.json"),
        ("jwt_public_key_files = [\"/nowhere/key.pem\"]", "auth.jwt_public_key_files: /nowhere/key.pem"),
    ] {
        let (code, words) = check(folder.path(), &format!("[auth]\n{lines}\n")).await;
        assert_eq!((code, words.lines().count()), (Some(2), 1), "{lines}: {words}");
        assert!(words.contains(expected), "{lines}: {words}");
    }
}

/// The names of keys are each source's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn published_keys_stand_beside_those_of_files_and_settings() {
    let secret = "a secret of thirty-two bytes, ok";
    let (of_file, of_provider) = (Signer::hs256("k1", b"another secret, long enough, surely"), Signer::es256("k1"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    std::fs::write(&file, jwks(&[&of_file])).unwrap();
    let provider = Provider::new(Reply::Document(jwks(&[&of_provider]))).await;
    let world = World::at(Clock::by_hand(NOW_S * 1_000), |settings| {
        name(settings, &provider);
        settings.auth.jwt_jwks_file = Some(file);
        settings.auth.jwt_hs256_secret = Some(Secret(secret.to_owned()));
        settings.auth.jwt_public_key_files = vec![test_key_file("jwt_ed_public.pem")];
    })
    .await;
    let of_settings = Signer::hs256("", secret.as_bytes());
    let tokens = [
        of_file.sign(&claims("ann")),
        of_provider.sign(&claims("ann")),
        of_settings.sign_as(None, &claims("ann")),
        Signer::eddsa().sign_as(None, &claims("ann")),
    ];
    let ann = comes(&world, &tokens[0]).me().await.unwrap();
    for token in &tokens {
        assert_eq!(comes(&world, token).me().await.unwrap(), ann);
    }
}

/// Plain http is for tests and side-cars on this machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_http_is_taken_from_this_machine() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let signer = Signer::es256("e1");
    let body = jwks(&[&signer]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    for host in ["127.0.0.1", "localhost"] {
        let world = World::at(Clock::by_hand(NOW_S * 1_000), |settings| {
            settings.auth.jwt_jwks_url = Some(format!("http://{host}:{}/keys?v=1", address.port()).parse().unwrap());
        })
        .await;
        assert!(comes(&world, &signer.sign(&claims("ann"))).me().await.is_ok(), "{host}");
    }
}
