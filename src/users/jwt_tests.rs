//! Tokens that must pass and tokens that must not, with real keys.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

use super::*;

const NOW_S: f64 = 1_800_000_000.0;
const SECRET: &[u8] = b"a secret of thirty-two bytes, ok";
const RSA_PRIVATE: &[u8] = include_bytes!("testdata/jwt_rsa_private.pem");
const RSA_PUBLIC: &[u8] = include_bytes!("testdata/jwt_rsa_public.pem");
const ED_PRIVATE: &[u8] = include_bytes!("testdata/jwt_ed_private.pem");
const ED_PUBLIC: &[u8] = include_bytes!("testdata/jwt_ed_public.pem");
const EC_PRIVATE: &[u8] = include_bytes!("testdata/jwt_ec_private.pem");
const EC_PUBLIC: &[u8] = include_bytes!("testdata/jwt_ec_public.pem");
const P384_PRIVATE: &[u8] = include_bytes!("testdata/jwt_ec_p384_private.pem");
const P384_PUBLIC: &[u8] = include_bytes!("testdata/jwt_ec_p384_public.pem");

/// An algorithm with the key that signs and the key that verifies.
fn pairs() -> Vec<(Algorithm, EncodingKey, VerifyingKey)> {
    vec![
        (Algorithm::HS256, EncodingKey::from_secret(SECRET), VerifyingKey::hs256(SECRET).unwrap()),
        (Algorithm::RS256, EncodingKey::from_rsa_pem(RSA_PRIVATE).unwrap(), VerifyingKey::pem(RSA_PUBLIC).unwrap()),
        (Algorithm::ES256, EncodingKey::from_ec_pem(EC_PRIVATE).unwrap(), VerifyingKey::pem(EC_PUBLIC).unwrap()),
        (Algorithm::EdDSA, EncodingKey::from_ed_pem(ED_PRIVATE).unwrap(), VerifyingKey::pem(ED_PUBLIC).unwrap()),
    ]
}

fn signed(claims: &Value) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET)).unwrap()
}

fn good() -> Value {
    json!({ "sub": "auth0|42", "exp": NOW_S + 300.0, "iat": NOW_S, "nbf": NOW_S, "name": "Ann", "handle": "ann" })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = good();
    claims[name] = value;
    claims
}

fn verify_one(claims: &Value, expected: &Expected) -> Result<Claims, JwtError> {
    verify(&signed(claims), &[VerifyingKey::hs256(SECRET).unwrap()], expected, NOW_S)
}

fn refusal(claims: &Value) -> JwtError {
    verify_one(claims, &Expected::default()).unwrap_err()
}

#[test]
fn a_token_of_each_algorithm_names_its_user() {
    let keys: Vec<VerifyingKey> = pairs().into_iter().map(|(_, _, key)| key).collect();
    for (algorithm, signing, _) in pairs() {
        let token = encode(&Header::new(algorithm), &good(), &signing).unwrap();
        let claims = verify(&token, &keys, &Expected::default(), NOW_S).unwrap();
        assert_eq!((claims.sub.as_str(), claims.iat, claims.exp), ("auth0|42", Some(1_800_000_000), 1_800_000_300));
        assert_eq!((claims.name.as_deref(), claims.handle.as_deref()), (Some("Ann"), Some("ann")));
    }
}

#[test]
fn a_token_that_was_changed_or_signed_by_another_is_refused() {
    for (algorithm, signing, key) in pairs() {
        let token = encode(&Header::new(algorithm), &good(), &signing).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let forged = URL_SAFE_NO_PAD.encode(with("sub", json!("admin")).to_string());
        let forged = format!("{}.{forged}.{}", parts[0], parts[2]);
        assert_eq!(verify(&forged, &[key], &Expected::default(), NOW_S), Err(JwtError::Signature), "{algorithm:?}");
    }
    let other = encode(&Header::new(Algorithm::HS256), &good(), &EncodingKey::from_secret(b"another")).unwrap();
    assert_eq!(
        verify(&other, &[VerifyingKey::hs256(SECRET).unwrap()], &Expected::default(), NOW_S),
        Err(JwtError::Signature)
    );
}

#[test]
fn a_token_cannot_choose_its_algorithm() {
    let rsa = [VerifyingKey::pem(RSA_PUBLIC).unwrap()];
    // The classic: the public key as an HMAC secret.
    for secret in [RSA_PUBLIC, &RSA_PUBLIC[..RSA_PUBLIC.len() - 1]] {
        let confused = encode(&Header::new(Algorithm::HS256), &good(), &EncodingKey::from_secret(secret)).unwrap();
        assert_eq!(verify(&confused, &rsa, &Expected::default(), NOW_S), Err(JwtError::UnknownKey));
    }
    for algorithm in [Algorithm::RS512, Algorithm::PS256] {
        let other = encode(&Header::new(algorithm), &good(), &EncodingKey::from_rsa_pem(RSA_PRIVATE).unwrap()).unwrap();
        assert_eq!(verify(&other, &rsa, &Expected::default(), NOW_S), Err(JwtError::UnknownKey), "{algorithm:?}");
    }
    for none in ["none", "None", "NONE", ""] {
        let header = URL_SAFE_NO_PAD.encode(json!({ "alg": none, "typ": "JWT" }).to_string());
        let payload = URL_SAFE_NO_PAD.encode(good().to_string());
        for signature in ["", "AAAA"] {
            let token = format!("{header}.{payload}.{signature}");
            assert_eq!(verify(&token, &rsa, &Expected::default(), NOW_S), Err(JwtError::Malformed));
        }
    }
}

#[test]
fn time_is_checked_with_a_minute_of_leeway() {
    let default = Expected::default();
    assert!(verify_one(&with("exp", json!(NOW_S - 59.0)), &default).is_ok());
    assert_eq!(refusal(&with("exp", json!(NOW_S - 60.0))), JwtError::Expired);
    for claim in ["nbf", "iat"] {
        assert!(verify_one(&with(claim, json!(NOW_S + 60.0)), &default).is_ok());
        assert_eq!(refusal(&with(claim, json!(NOW_S + 61.0))), JwtError::NotYet);
        assert!(verify_one(&with(claim, Value::Null), &default).is_ok());
    }
    let in_step = Expected { ahead_s: 1, ..Expected::default() };
    assert!(verify_one(&with("iat", json!(NOW_S + 1.0)), &in_step).is_ok());
    assert_eq!(verify_one(&with("iat", json!(NOW_S + 2.0)), &in_step), Err(JwtError::NotYet));
    assert!(verify_one(&with("nbf", json!(NOW_S + 60.0)), &in_step).is_ok());
    for wrong in [Value::Null, json!("1900000000"), json!(-1), json!([])] {
        assert_eq!(refusal(&with("exp", wrong)), JwtError::Claim("exp"));
    }
    assert_eq!(refusal(&with("nbf", json!("soon"))), JwtError::Claim("nbf"));
}

#[test]
fn the_subject_is_a_text_of_1_to_200_characters() {
    assert!(verify_one(&with("sub", json!("ä".repeat(200))), &Expected::default()).is_ok());
    for wrong in [Value::Null, json!(""), json!(42), json!("x".repeat(201)), json!("a\nb")] {
        assert_eq!(refusal(&with("sub", wrong)), JwtError::Claim("sub"));
    }
}

#[test]
fn issuer_and_audience_must_match_when_they_are_configured() {
    let expected =
        Expected { issuer: Some("https://id.example".into()), audience: Some("fanfare".into()), ..Expected::default() };
    let mut claims = with("iss", json!("https://id.example"));
    for right in [json!("fanfare"), json!(["other", "fanfare"])] {
        claims["aud"] = right;
        assert!(verify_one(&claims, &expected).is_ok());
        assert!(verify_one(&claims, &Expected::default()).is_ok());
    }
    for wrong in [Value::Null, json!("other"), json!([]), json!(["fanfare2"]), json!({ "fanfare": 1 })] {
        claims["aud"] = wrong;
        assert_eq!(verify_one(&claims, &expected), Err(JwtError::Audience));
    }
    for wrong in [Value::Null, json!("https://evil.example"), json!(["https://id.example"])] {
        assert_eq!(verify_one(&with("iss", wrong), &expected), Err(JwtError::Issuer));
    }
}

#[test]
fn what_is_no_jwt_is_malformed() {
    let token = signed(&good());
    let long = format!("{token}{}", "A".repeat(JWT_BYTES_MAX));
    let crit = Header { crit: Some(vec!["exp".into()]), ..Header::new(Algorithm::HS256) };
    let crit = encode(&crit, &good(), &EncodingKey::from_secret(SECRET)).unwrap();
    for wrong in ["", ".", "..", "a.b.c", "ff_abc", &token[1..], &format!("{token}.x"), &long, &crit] {
        let answer = verify(wrong, &[VerifyingKey::hs256(SECRET).unwrap()], &Expected::default(), NOW_S);
        assert_eq!(answer, Err(JwtError::Malformed), "{wrong}");
    }
}

#[test]
fn keys_that_are_weak_or_of_another_kind_are_not_loaded() {
    assert!(matches!(VerifyingKey::hs256(b"fifteen bytes.."), Err(KeyError::Weak(_))));
    assert!(matches!(VerifyingKey::pem(include_bytes!("testdata/jwt_rsa_1024_public.pem")), Err(KeyError::Weak(_))));
    assert!(matches!(VerifyingKey::hs256(&SECRET[1..]), Err(KeyError::Weak(_))));
    for wrong in [&b""[..], b"no pem", RSA_PRIVATE, ED_PRIVATE, EC_PRIVATE, P384_PUBLIC] {
        assert!(matches!(VerifyingKey::pem(wrong), Err(KeyError::Unusable(_))));
    }
}

fn jwk(key: &EncodingKey, algorithm: Algorithm, kid: &str) -> Value {
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(key, algorithm).unwrap()).unwrap();
    jwk["kid"] = json!(kid);
    jwk
}

/// Good keys, one of each kind that is published.
fn published() -> [(Algorithm, EncodingKey, Value); 3] {
    let key = |algorithm, key: EncodingKey, kid| {
        let jwk = jwk(&key, algorithm, kid);
        (algorithm, key, jwk)
    };
    [
        key(Algorithm::RS256, EncodingKey::from_rsa_pem(RSA_PRIVATE).unwrap(), "r1"),
        key(Algorithm::ES256, EncodingKey::from_ec_pem(EC_PRIVATE).unwrap(), "e1"),
        key(Algorithm::EdDSA, EncodingKey::from_ed_pem(ED_PRIVATE).unwrap(), "d1"),
    ]
}

#[test]
fn a_jwks_gives_the_keys_that_can_verify_and_kid_chooses_among_them() {
    let rsa = EncodingKey::from_rsa_pem(RSA_PRIVATE).unwrap();
    let ed = EncodingKey::from_ed_pem(ED_PRIVATE).unwrap();
    let mut for_encryption = jwk(&rsa, Algorithm::RS256, "enc");
    for_encryption["use"] = json!("enc");
    let other_algorithm = jwk(&rsa, Algorithm::RS512, "rs512");
    let junk = json!({ "kty": "martian" });
    let keys =
        [jwk(&rsa, Algorithm::RS256, "r1"), jwk(&ed, Algorithm::EdDSA, "e1"), for_encryption, other_algorithm, junk];
    let Jwks { keys, skipped, .. } = parse_jwks(&json!({ "keys": keys }).to_string(), JwksReaders::Server).unwrap();
    assert_eq!((keys.len(), skipped), (2, 3));

    let token = |kid: Option<&str>, algorithm: Algorithm, key: &EncodingKey| {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
        verify(&encode(&header, &good(), key).unwrap(), &keys, &Expected::default(), NOW_S)
    };
    assert!(token(Some("r1"), Algorithm::RS256, &rsa).is_ok());
    assert!(token(Some("e1"), Algorithm::EdDSA, &ed).is_ok());
    assert!(token(None, Algorithm::EdDSA, &ed).is_ok());
    assert_eq!(token(Some("e1"), Algorithm::RS256, &rsa), Err(JwtError::UnknownKey));
    assert_eq!(token(Some("gone"), Algorithm::RS256, &rsa), Err(JwtError::UnknownKey));
    for no_jwks in ["[]", "{}", "", "{\"keys\": 1}", "{\"a kid\": \"-----BEGIN CERTIFICATE-----\"}"] {
        assert!(matches!(parse_jwks(no_jwks, JwksReaders::Server), Err(KeyError::NoJwks(_))), "{no_jwks}");
    }
}

#[test]
fn only_keys_that_fit_their_kty_crv_alg_use_and_key_ops_are_taken() {
    let is_taken = |jwk: &Value, readers| {
        let set = parse_jwks(&json!({ "keys": [jwk] }).to_string(), readers).unwrap();
        assert_eq!(set.keys.len() + set.skipped, 1);
        set.keys.len() == 1
    };
    let changed = |jwk: &Value, name: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        jwk
    };
    for (_, _, good) in published() {
        for (name, value) in [
            ("use", json!("sig")),
            ("key_ops", json!(["verify"])),
            ("key_ops", json!(["sign", "verify"])),
            ("alg", good["alg"].clone()),
            ("x5c", json!(["not a certificate"])),
            ("ext", json!(true)),
            ("exp", json!({ "of": ["the future"] })),
        ] {
            assert!(is_taken(&changed(&good, name, value.clone()), JwksReaders::Everybody), "{name} {value}");
        }
        let mut without_alg = good.clone();
        without_alg.as_object_mut().unwrap().remove("alg");
        assert!(is_taken(&without_alg, JwksReaders::Everybody), "kty and crv are enough");
        for (name, value) in [
            ("use", json!("enc")),
            ("key_ops", json!(["encrypt"])),
            ("key_ops", json!([])),
            ("alg", json!("HS256")),
            ("alg", json!("PS256")),
            ("alg", json!("ES384")),
            ("alg", json!("none")),
            ("kty", json!("oct")),
            ("kty", json!("AKP")),
            ("d", json!("AAAA")),
            ("k", json!("AAAA")),
        ] {
            assert!(!is_taken(&changed(&good, name, value.clone()), JwksReaders::Everybody), "{name} {value}");
        }
    }
    let elliptic = jwk(&EncodingKey::from_ec_pem(EC_PRIVATE).unwrap(), Algorithm::ES256, "e");
    for curve in ["P-384", "P-521", "secp256k1", "Ed25519"] {
        assert!(!is_taken(&changed(&elliptic, "crv", json!(curve)), JwksReaders::Everybody), "{curve}");
    }
    assert!(
        !is_taken(&changed(&elliptic, "x", elliptic["y"].clone()), JwksReaders::Everybody),
        "no point of the curve"
    );
    let long = jwk(&EncodingKey::from_ec_pem(P384_PRIVATE).unwrap(), Algorithm::ES384, "l");
    for (name, value) in [("alg", json!("ES256")), ("crv", json!("P-256"))] {
        assert!(!is_taken(&changed(&long, name, value), JwksReaders::Everybody));
    }
    let secret = jwk(&EncodingKey::from_secret(SECRET), Algorithm::HS256, "s");
    assert!(is_taken(&secret, JwksReaders::Server) && !is_taken(&secret, JwksReaders::Everybody));
}

#[test]
fn only_a_token_that_a_new_key_could_save_is_worth_a_look_for_one() {
    let keys = |kid: Option<&str>| {
        let mut jwk = published()[1].2.clone();
        jwk["kid"] = json!(kid);
        parse_jwks(&json!({ "keys": [jwk] }).to_string(), JwksReaders::Everybody).unwrap().keys
    };
    let token = |kid: Option<&str>, algorithm: Algorithm, claims: &Value| {
        let signing = pairs().into_iter().find(|pair| pair.0 == algorithm).unwrap().1;
        encode(&Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) }, claims, &signing).unwrap()
    };
    let expected = Expected { issuer: Some("https://id.example".into()), ..Expected::default() };
    let good = with("iss", json!("https://id.example"));
    let fits = |token: &str, keys: &[VerifyingKey]| may_fit_newer_keys(token, keys, &expected, NOW_S);
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        assert!(fits(&token(Some("new"), algorithm, &good), &keys(Some("old"))));
        assert!(fits(&token(None, algorithm, &good), &keys(None)));
        assert!(!fits(&token(None, algorithm, &good), &keys(Some("old"))));
        assert!(!fits(&token(Some("old"), algorithm, &good), &keys(Some("old"))));
    }
    assert!(!fits(&token(Some("new"), Algorithm::HS256, &good), &keys(Some("old"))), "secrets are not published");
    for hopeless in
        [good_of(NOW_S - 3_600.0), with("iss", json!("https://evil.example")), with("sub", json!(1)), json!(1)]
    {
        assert!(!fits(&token(Some("new"), Algorithm::ES256, &hopeless), &keys(Some("old"))), "{hopeless}");
    }
    for wrong in ["", "a.b.c", "ff_abc"] {
        assert!(!fits(wrong, &keys(Some("old"))));
    }
}

fn good_of(exp: f64) -> Value {
    let mut claims = with("iss", json!("https://id.example"));
    claims["exp"] = json!(exp);
    claims
}

mod any_document {
    use proptest::prelude::*;

    use super::*;

    /// Any JSON, with members of keys more often than not.
    fn json_value() -> impl Strategy<Value = Value> {
        let words = prop::sample::select(vec![
            "RSA", "EC", "OKP", "oct", "P-256", "P-384", "Ed25519", "RS256", "ES256", "EdDSA", "HS256", "none", "sig",
            "enc", "verify", "AQAB", "", "AAAA",
        ]);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            words.prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
            "[A-Za-z0-9_-]{40,50}".prop_map(Value::from),
        ];
        let names = prop::sample::select(vec![
            "keys", "kty", "crv", "x", "y", "n", "e", "k", "d", "use", "alg", "key_ops", "kid", "x5c", "oth", "else",
        ]);
        leaf.prop_recursive(4, 64, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::vec((names.clone(), inner), 0..10)
                    .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn never_panics_and_every_key_is_counted(
            keys in prop::collection::vec(json_value(), 0..6),
            text in ".{0,64}",
            other in json_value(),
        ) {
            for readers in [JwksReaders::Server, JwksReaders::Everybody] {
                let set = parse_jwks(&json!({ "keys": keys, "else": other }).to_string(), readers).unwrap();
                prop_assert_eq!(set.keys.len() + set.skipped, keys.len());
                prop_assert_eq!(set.keys.len(), set.sources.len());
                let _ = (parse_jwks(&other.to_string(), readers), parse_jwks(&text, readers));
            }
        }

        #[test]
        fn keeps_its_good_keys_whatever_stands_beside_them(
            before in prop::collection::vec(json_value(), 0..4),
            value in json_value(),
            name in "[a-z#]{9,12}",
        ) {
            let mut good = published().map(|(_, _, jwk)| jwk);
            good.iter_mut().for_each(|jwk| jwk[&name] = value.clone());
            let keys: Vec<&Value> = before.iter().chain(&good).collect();
            let set = parse_jwks(&json!({ "keys": keys, &name: value }).to_string(), JwksReaders::Everybody).unwrap();
            // By their names: a large number does not always come back from text as it was.
            let taken = |jwk: &Value| set.sources.iter().any(|source| source["kid"] == jwk["kid"]);
            prop_assert!(good.iter().all(taken));
        }
    }
}
