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

/// An algorithm with the key that signs and the key that verifies.
fn pairs() -> Vec<(Algorithm, EncodingKey, Key)> {
    vec![
        (Algorithm::HS256, EncodingKey::from_secret(SECRET), Key::hs256(SECRET).unwrap()),
        (Algorithm::RS256, EncodingKey::from_rsa_pem(RSA_PRIVATE).unwrap(), Key::pem(RSA_PUBLIC).unwrap()),
        (Algorithm::EdDSA, EncodingKey::from_ed_pem(ED_PRIVATE).unwrap(), Key::pem(ED_PUBLIC).unwrap()),
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
    verify(&signed(claims), &[Key::hs256(SECRET).unwrap()], expected, NOW_S)
}

fn refusal(claims: &Value) -> JwtError {
    verify_one(claims, &Expected::default()).unwrap_err()
}

#[test]
fn a_token_of_each_algorithm_names_its_user() {
    let keys: Vec<Key> = pairs().into_iter().map(|(_, _, key)| key).collect();
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
    assert_eq!(verify(&other, &[Key::hs256(SECRET).unwrap()], &Expected::default(), NOW_S), Err(JwtError::Signature));
}

#[test]
fn a_token_cannot_choose_its_algorithm() {
    let rsa = [Key::pem(RSA_PUBLIC).unwrap()];
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
    let expected = Expected { issuer: Some("https://id.example".into()), audience: Some("fanfare".into()) };
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
        let answer = verify(wrong, &[Key::hs256(SECRET).unwrap()], &Expected::default(), NOW_S);
        assert_eq!(answer, Err(JwtError::Malformed), "{wrong}");
    }
}

#[test]
fn keys_that_are_weak_or_of_another_kind_are_not_loaded() {
    assert!(matches!(Key::hs256(b"fifteen bytes.."), Err(KeyError::Weak(_))));
    assert!(matches!(Key::pem(include_bytes!("testdata/jwt_rsa_1024_public.pem")), Err(KeyError::Weak(_))));
    for wrong in [&b""[..], b"no pem", RSA_PRIVATE, ED_PRIVATE] {
        assert!(matches!(Key::pem(wrong), Err(KeyError::Unusable(_))));
    }
}

#[test]
fn a_jwks_gives_the_keys_that_can_verify_and_kid_chooses_among_them() {
    let rsa = EncodingKey::from_rsa_pem(RSA_PRIVATE).unwrap();
    let ed = EncodingKey::from_ed_pem(ED_PRIVATE).unwrap();
    let jwk = |key: &EncodingKey, algorithm: Algorithm, kid: &str| {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(key, algorithm).unwrap()).unwrap();
        jwk["kid"] = json!(kid);
        jwk
    };
    let mut for_encryption = jwk(&rsa, Algorithm::RS256, "enc");
    for_encryption["use"] = json!("enc");
    let other_algorithm = jwk(&rsa, Algorithm::RS512, "rs512");
    let junk = json!({ "kty": "martian" });
    let keys =
        [jwk(&rsa, Algorithm::RS256, "r1"), jwk(&ed, Algorithm::EdDSA, "e1"), for_encryption, other_algorithm, junk];
    let (keys, skipped) = parse_jwks(&json!({ "keys": keys }).to_string()).unwrap();
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
    assert!(parse_jwks("[]").is_err() && parse_jwks("{}").is_err());
}
