//! Refusals of what a provider gives: answers that are no set, and tokens that no published key may stand for.

use std::time::Duration;

use super::*;
use fanfare::users::jwt::JwtError;
use provider::http;

/// Refusal of an answer by [`JwtVerifier::open`], with little patience.
async fn refusal(provider: &Provider) -> String {
    let folder = tempfile::tempdir().unwrap();
    let pace = Pace { fetch: Duration::from_millis(300), ..Pace::default() };
    JwtVerifier::open(published(provider, folder.path(), pace)).await.unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_no_good_set_are_named() {
    let good = jwks(&[&Signer::es256("e1")]);
    let secret = jwks(&[&Signer::hs256("s1", b"a secret of thirty-two bytes, ok")]);
    let large = " ".repeat((256 << 10) + 1);
    let provider = Provider::new(Reply::Silence).await;
    for (reply, words) in [
        (Reply::Silence, "no whole answer within 300 ms"),
        (Reply::Drip, "no whole answer within 300 ms"),
        (
            http("302 Found", &["location: https://elsewhere.example/"], ""),
            "answers 302, and redirects are not followed; name the address itself: https://elsewhere.example/",
        ),
        (http("308 Permanent Redirect", &[], &good), "answers 308, and redirects"),
        (http("404 Not Found", &["content-length: 0"], ""), "answers 404"),
        (http("204 No Content", &[], ""), "answers 204"),
        (http("200 OK", &[&format!("content-length: {}", large.len())], &large), "more than 262144 bytes"),
        (http("200 OK", &[], &large), "more than 262144 bytes"),
        (http("200 OK", &["content-length: 100"], "{"), "not whole"),
        (Reply::Bytes(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()), "not whole"),
        (Reply::Bytes([b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'x'; 128 << 10]].concat()), "not whole"),
        (Reply::Bytes(b"HTTP/1.1 200 OK\r\n\r\n\xff\xfe".to_vec()), "not text"),
        (Reply::Document("<!doctype html>".to_owned()), "not a JWKS"),
        (Reply::Document(r#"{"kid": "-----BEGIN CERTIFICATE-----"}"#.to_owned()), "not a JWKS"),
        (Reply::Document(r#"{"keys": []}"#.to_owned()), "holds no public key"),
        (Reply::Document(secret), "holds no public key"),
        (Reply::Document(jwks(&[&Signer::es384("e3")])), "holds no public key"),
    ] {
        provider.answer(reply.clone());
        let refusal = refusal(&provider).await;
        assert!(refusal.contains("auth.jwt_jwks_url") && refusal.contains(words), "{reply:?}: {refusal}");
    }
    provider.answer(http("200 OK", &["cache-control: max-age=1"], &good));
    let folder = tempfile::tempdir().unwrap();
    assert!(JwtVerifier::open(published(&provider, folder.path(), Pace::default())).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_cannot_prove_who_it_is_is_not_believed() {
    let good = Reply::Document(jwks(&[&Signer::es256("e1")]));
    let mut provider = Provider::new(good.clone()).await;
    // Another CA, also one that took the same name.
    provider.authority = Authority::new();
    assert!(refusal(&provider).await.contains("TLS failed"));
    let wrong_host = Provider::of_host("id.example", good.clone()).await;
    assert!(refusal(&wrong_host).await.contains("TLS failed"));
    // Without a CA of its own those of browsers count, and none of them vouches for this one.
    let folder = tempfile::tempdir().unwrap();
    let right = Provider::new(good).await;
    let mut settings = published(&right, folder.path(), Pace::default());
    settings.published.as_mut().unwrap().ca_file = None;
    assert!(JwtVerifier::open(settings).await.unwrap_err().to_string().contains("TLS failed"));
    assert_eq!(right.asked() + wrong_host.asked() + provider.asked(), 0, "nobody was asked anything");
}

/// A token with a header of one's own, signed by nobody.
fn unsigned(header: &Value, claims: &Value) -> String {
    use base64::Engine as _;
    let encode = |part: &Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}.", encode(header), encode(claims))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_no_published_key_stands_for_are_refused() {
    let secret = b"a secret of thirty-two bytes, ok";
    let (symmetric, elliptic, rsa) = (Signer::hs256("s1", secret), Signer::es256("e1"), Signer::rs256("r1"));
    let long = Signer::es384("e384");
    // One that lies about its algorithm, one for encryption, one that gives its private part away, one of the future.
    let (mut lies, mut seals, mut leaks) = (Signer::es384("lies"), Signer::es256("seals"), Signer::es256("leaks"));
    lies.jwk["alg"] = json!("ES256");
    seals.jwk["use"] = json!("enc");
    leaks.jwk["d"] = json!("AAAA");
    let mut derives = Signer::es256("derives");
    derives.jwk["key_ops"] = json!(["deriveKey"]);
    let mut document: Value =
        serde_json::from_str(&jwks(&[&symmetric, &elliptic, &rsa, &long, &lies, &seals, &leaks, &derives])).unwrap();
    document["keys"].as_array_mut().unwrap().push(json!({ "kty": "ML-DSA", "kid": "q1", "pub": "AAAA" }));
    let provider = Provider::new(Reply::Document(document.to_string())).await;
    let world = world(&provider).await;
    let ann = claims("ann");
    let public_pem = Signer::hs256("r1", &test_key("jwt_rsa_public.pem"));
    let public_modulus = Signer::hs256("r1", rsa.jwk["n"].as_str().unwrap().as_bytes());
    for (what, token) in [
        ("a published secret", symmetric.sign(&ann)),
        ("a published secret under another name", symmetric.sign_as(Some("r1"), &ann)),
        ("a public key as a secret", public_pem.sign(&ann)),
        ("a modulus as a secret", public_modulus.sign(&ann)),
        ("no signature", unsigned(&json!({ "alg": "none", "kid": "e1" }), &ann)),
        ("an empty signature", unsigned(&json!({ "alg": "ES256", "kid": "e1" }), &ann)),
        ("another curve", long.sign(&ann)),
        ("another curve under the right name", long.sign_as(Some("e1"), &ann)),
        ("another curve that claims to be the right one", lies.sign(&ann)),
        ("a key for encryption", seals.sign(&ann)),
        ("a key whose secret is published", leaks.sign(&ann)),
        ("a key for something else", derives.sign(&ann)),
        ("another key's name", elliptic.sign_as(Some("r1"), &ann)),
        ("a stranger's key", Signer::es256("e1").sign(&ann)),
    ] {
        assert_eq!(refused(comes(&world, &token).me().await), Code::Unauthenticated, "{what}");
    }
    for signer in [&elliptic, &rsa] {
        assert!(comes(&world, &signer.sign(&ann)).me().await.is_ok());
        assert!(comes(&world, &signer.sign_as(None, &ann)).me().await.is_ok(), "without a name all are tried");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_keys_may_be_missing_or_used_twice_and_too_many_keys_are_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let (mut nameless, twin, other_twin) = (Signer::es256(""), Signer::es256("twin"), Signer::es256("twin"));
    nameless.jwk.as_object_mut().unwrap().remove("kid");
    let provider = Provider::new(Reply::Document(jwks(&[&nameless]))).await;
    let open = async || JwtVerifier::open(published(&provider, folder.path(), Pace::default())).await.unwrap();
    let verifier = open().await;
    let taken = async |verifier: &JwtVerifier, token: String| verifier.verify(&token, NOW_S as f64).await.map(|_| ());
    assert_eq!(taken(&verifier, nameless.sign(&claims("ann"))).await, Ok(()));
    assert_eq!(taken(&verifier, nameless.sign_as(Some("any"), &claims("ann"))).await, Ok(()));

    provider.publish(&[&twin, &other_twin]);
    let verifier = open().await;
    for signer in [&twin, &other_twin] {
        assert_eq!(taken(&verifier, signer.sign(&claims("ann"))).await, Ok(()));
    }
    // Nobody refreshes this one: a stranger's key of a known name asks for nothing.
    assert_eq!(taken(&verifier, Signer::es256("twin").sign(&claims("ann"))).await, Err(JwtError::Signature));

    let many: Vec<Signer> = (0..40).map(|index| Signer::es256(&format!("k{index}"))).collect();
    provider.publish(&many.iter().collect::<Vec<_>>());
    let verifier = open().await;
    assert_eq!(taken(&verifier, many[31].sign(&claims("ann"))).await, Ok(()));
}
