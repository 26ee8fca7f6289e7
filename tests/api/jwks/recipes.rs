//! The recipes of `docs/api.md`, as they are pasted, against tokens with the claims that each provider documents.
//!
//! Only the network is another: the recipe's address leads to a provider on this machine.

use fanfare::users::jwt::{Claims, JwtError};

use super::*;

/// The settings under a heading of the API's guide.
fn recipe(heading: &str) -> Settings {
    let guide = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md")).unwrap();
    let section =
        guide.split("\n#### ").find(|section| section.starts_with(heading)).expect("the guide has the recipe");
    let pasted =
        section.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("settings to paste");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fanfare.toml");
    std::fs::write(&file, pasted).unwrap();
    Settings::load(Some(&file), []).unwrap()
}

struct Recipe {
    verifier: JwtVerifier,
    signer: Signer,
    requested: String,
}

impl Recipe {
    async fn of(heading: &str, signer: Signer) -> Self {
        let provider = Provider::new(Reply::Document(jwks(&[&signer]))).await;
        let folder = tempfile::tempdir().unwrap();
        let mut settings = JwtSettings::of(&recipe(heading));
        let published = settings.published.as_mut().unwrap();
        published.url = provider.url_of(published.url.0.path_and_query().unwrap().as_str());
        (published.ca_file, published.data_dir) = (Some(provider.authority.file()), folder.path().to_owned());
        let verifier = JwtVerifier::open(settings).await.unwrap();
        assert!(verifier.remarks().is_empty(), "a recipe says whose tokens are taken");
        let requested = provider.requests()[0].split(' ').nth(1).unwrap().to_owned();
        Self { verifier, signer, requested }
    }

    async fn verify(&self, claims: &Value) -> Result<Claims, JwtError> {
        self.verifier.verify(&self.signer.sign(claims), NOW_S as f64).await
    }

    /// Asserts that a change of one claim is refused so.
    async fn refuses(&self, claims: &Value, name: &str, value: Value, error: JwtError) {
        let mut changed = claims.clone();
        changed[name] = value;
        assert_eq!(self.verify(&changed).await, Err(error), "{changed}");
    }
}

#[tokio::test]
async fn supabase() {
    let recipe = Recipe::of("Supabase", Signer::es256("0b1e6a7c-6f0e-4a52-8f55-3c1d5b0e8a11")).await;
    assert_eq!(recipe.requested, "/auth/v1/.well-known/jwks.json");
    let claims = json!({
        "iss": "https://PROJECT.supabase.co/auth/v1", "aud": "authenticated", "exp": NOW_S + 3_600, "iat": NOW_S,
        "sub": "123e4567-e89b-12d3-a456-426614174000", "role": "authenticated", "aal": "aal1",
        "session_id": "5f0c1d8e-8d3f-4c4b-9d4a-0d7b8f6f3c21", "email": "ann@mail.example", "phone": "",
        "is_anonymous": false, "amr": [{ "method": "password", "timestamp": NOW_S }],
        "app_metadata": { "provider": "email", "providers": ["email"] }, "user_metadata": { "full_name": "Ann" },
    });
    assert_eq!(recipe.verify(&claims).await.unwrap().sub, "123e4567-e89b-12d3-a456-426614174000");
    recipe.refuses(&claims, "aud", json!("anon"), JwtError::Audience).await;
    recipe.refuses(&claims, "iss", json!("https://other.supabase.co/auth/v1"), JwtError::Issuer).await;
    // A project's key for services is no person.
    recipe.refuses(&claims, "sub", Value::Null, JwtError::Claim("sub")).await;
}

#[tokio::test]
async fn auth0() {
    let recipe = Recipe::of("Auth0", Signer::rs256("NjVBRjY5MDlCMUIwNzU4RTA2QzZFMDQ4QzQ2MDAyQjVDNjk1RTM2Qg")).await;
    assert_eq!(recipe.requested, "/.well-known/jwks.json");
    let claims = json!({
        "iss": "https://TENANT.eu.auth0.com/", "sub": "auth0|507f1f77bcf86cd799439011",
        "aud": ["https://api.example", "https://TENANT.eu.auth0.com/userinfo"], "azp": "my_client_id",
        "exp": NOW_S + 86_400, "iat": NOW_S, "scope": "openid profile",
    });
    assert_eq!(recipe.verify(&claims).await.unwrap().sub, "auth0|507f1f77bcf86cd799439011");
    let mut rfc_9068 = claims.clone();
    (rfc_9068["client_id"], rfc_9068["jti"]) = (json!("my_client_id"), json!("73WakrfVbNJBaAmhQtEeDv"));
    (rfc_9068["azp"], rfc_9068["aud"]) = (Value::Null, json!("https://api.example"));
    assert!(recipe.verify(&rfc_9068).await.is_ok());
    recipe.refuses(&claims, "aud", json!(["https://TENANT.eu.auth0.com/userinfo"]), JwtError::Audience).await;
    recipe.refuses(&claims, "iss", json!("https://TENANT.eu.auth0.com"), JwtError::Issuer).await;
}

#[tokio::test]
async fn clerk() {
    let recipe = Recipe::of("Clerk", Signer::rs256("ins_2GIoQhbUpy0hX7B2cVkuTMinXoD")).await;
    assert_eq!(recipe.requested, "/.well-known/jwks.json");
    let claims = json!({
        "azp": "https://app.example", "exp": NOW_S + 60, "fva": [7, -1], "iat": NOW_S, "iss": "https://YOUR-APP.clerk.accounts.dev",
        "jti": "a1b2c3d4e5f6", "nbf": NOW_S - 10, "pla": "u:free", "fea": "", "sid": "sess_123", "sts": "active",
        "sub": "user_2GIpXOEpVyJw51rkZn9Kmnc6Sxr", "v": 2,
        "o": { "id": "org_123", "slg": "org-slug", "rol": "admin", "per": "read,manage", "fpm": "3,2" },
    });
    assert_eq!(recipe.verify(&claims).await.unwrap().sub, "user_2GIpXOEpVyJw51rkZn9Kmnc6Sxr");
    recipe.refuses(&claims, "azp", json!("https://evil.example"), JwtError::Party).await;
    recipe.refuses(&claims, "azp", json!(["https://app.example"]), JwtError::Party).await;
    recipe.refuses(&claims, "iss", json!("https://other.clerk.accounts.dev"), JwtError::Issuer).await;
    recipe.refuses(&claims, "exp", json!(NOW_S - 61), JwtError::Expired).await;
    let mut native = claims.clone();
    native.as_object_mut().unwrap().remove("azp");
    assert!(recipe.verify(&native).await.is_ok(), "an app without an origin names none");
}

#[tokio::test]
async fn firebase() {
    let recipe = Recipe::of("Firebase", Signer::rs256("f90fb1ae048a548fb681ad6092b0b869ea467ac6")).await;
    assert_eq!(recipe.requested, "/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com");
    let claims = json!({
        "name": "Ann", "picture": "https://pictures.example/ann.png", "iss": "https://securetoken.google.com/PROJECT",
        "aud": "PROJECT", "auth_time": NOW_S - 100, "user_id": "5JxY1PvZ0lQe", "sub": "5JxY1PvZ0lQe", "iat": NOW_S,
        "exp": NOW_S + 3_600, "email": "ann@mail.example", "email_verified": true,
        "firebase": { "identities": { "email": ["ann@mail.example"] }, "sign_in_provider": "password" },
    });
    let ann = recipe.verify(&claims).await.unwrap();
    assert_eq!((ann.sub.as_str(), ann.name.as_deref()), ("5JxY1PvZ0lQe", Some("Ann")));
    // The same keys sign for every project there is.
    recipe.refuses(&claims, "aud", json!("another-project"), JwtError::Audience).await;
    recipe.refuses(&claims, "iss", json!("https://securetoken.google.com/another-project"), JwtError::Issuer).await;
    recipe.refuses(&claims, "sub", json!(""), JwtError::Claim("sub")).await;
}
