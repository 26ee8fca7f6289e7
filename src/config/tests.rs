//! Settings from files and environments, good and bad.

use super::*;

fn from_file(text: &str) -> Result<Settings, ConfigError> {
    let mut settings = Settings::default();
    settings.apply_file(&Names::new(), "fanfare.toml", text)?;
    settings.check()?;
    Ok(settings)
}

fn from_environment(variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    Settings::load(None, variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
}

#[test]
fn the_example_reads_back_as_the_defaults() {
    assert_eq!(from_file(&Settings::example()).unwrap(), Settings::default());
}

#[test]
fn every_section_and_key_says_what_it_means() {
    for (section, docs, keys) in catalogue() {
        assert!(!docs.is_empty(), "[{section}] has no words");
        for key in keys {
            assert!(!key.docs.is_empty(), "{section}.{} has no words", key.name);
            assert!(Settings::example().contains(&format!("{} =", key.name)), "{section}.{}", key.name);
        }
    }
}

#[test]
fn every_default_is_within_its_own_range() {
    for (section, _, keys) in catalogue() {
        for key in keys {
            let Some(value) = &key.default else { continue };
            let mut settings = Settings::default();
            settings
                .set(section, key.name, &Given::Toml(value))
                .unwrap_or_else(|allowed| panic!("{section}.{}: {allowed}", key.name));
        }
    }
}

#[test]
fn a_file_changes_what_it_names_and_leaves_the_rest() {
    let settings = from_file(
        "[http]\nlisten = \"0.0.0.0:80\"\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n[feed]\npush_below = 2",
    )
    .unwrap();
    assert_eq!(settings.http.listen.to_string(), "0.0.0.0:80");
    assert_eq!(settings.http.trusted_proxies.len(), 2);
    assert_eq!((settings.feed.push_below, settings.feed.pull_above), (2, 1_000_000));
}

#[test]
fn metrics_are_for_this_machine_unless_an_address_says_otherwise() {
    for (given, address) in [
        ("9464", "127.0.0.1:9464"),
        ("\"9464\"", "127.0.0.1:9464"),
        ("\"[::1]:9464\"", "[::1]:9464"),
        ("\"0.0.0.0:9464\"", "0.0.0.0:9464"),
    ] {
        let settings = from_file(&format!("[metrics]\nlisten = {given}")).unwrap();
        assert_eq!(settings.metrics.listen.unwrap().0.to_string(), address, "{given}");
        let settings = from_environment(&[("FANFARE__METRICS__LISTEN", given.trim_matches('"'))]).unwrap();
        assert_eq!(settings.metrics.listen.unwrap().0.to_string(), address, "{given}");
    }
    for wrong in ["true", "70000", "-1", "\"\"", "\"here\"", "\"127.0.0.1\""] {
        assert!(from_file(&format!("[metrics]\nlisten = {wrong}")).is_err(), "{wrong}");
    }
    let same = from_file("[metrics]\nlisten = 7070").unwrap_err().to_string();
    assert!(same.contains("another address than http.listen"), "{same}");
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    for (text, name, nearest) in [
        ("[feed]\npush_bellow = 1", "feed.push_bellow", "feed.push_below"),
        ("[http]\nlisten_addr = 1", "http.listen_addr", "http.listen"),
        ("[feeds]\ntimeline_cap = 1", "feeds.timeline_cap", "feed.timeline_cap"),
        ("[server]\nlisten = \"127.0.0.1:1\"", "server.listen", "http.listen"),
        ("data_dir = \"/x\"", "data_dir", "server.data_dir"),
    ] {
        match from_file(text) {
            Err(ConfigError::Unknown { name: found, nearest: guess, .. }) => {
                assert_eq!((&*found, &*guess), (name, nearest));
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    assert!(matches!(from_file("[nothing]"), Err(ConfigError::Unknown { .. })));
}

#[test]
fn a_refused_value_names_the_key_what_was_given_and_what_is_allowed() {
    for (text, message) in [
        (
            "[http]\nbody_bytes_max = 1",
            "fanfare.toml: `http.body_bytes_max` cannot be 1; allowed: a whole number from 1024 to 67108864",
        ),
        ("[http]\nlisten = \"here\"", "fanfare.toml: `http.listen` cannot be \"here\"; allowed: an address and a port"),
        ("[api]\nregistration = \"no\"", "fanfare.toml: `api.registration` cannot be \"no\"; allowed: true or false"),
        ("[server]\nnode = -1", "fanfare.toml: `server.node` cannot be -1; allowed: a whole number from 0 to 1023"),
        (
            "[http]\ntrusted_proxies = [\"10.0.0.0/99\"]",
            "fanfare.toml: `http.trusted_proxies` cannot be [\"10.0.0.0/99\"]",
        ),
        ("[log]\nlevel = \"loud\"", "fanfare.toml: `log.level` cannot be \"loud\"; allowed: a level"),
        ("[feed]\npush_below = 5\npull_above = 4", "feed.push_below (5) must not be above feed.pull_above (4)"),
        ("[http]\nlisten = \"a\nb\"", "fanfare.toml, line "),
    ] {
        let error = from_file(text).unwrap_err().to_string();
        assert!(error.starts_with(message), "{text}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn a_secret_is_neither_logged_nor_quoted() {
    let error = from_file("[auth]\njwt_hs256_secret = \"hunter2\"").unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
    let settings =
        from_environment(&[("FANFARE__AUTH__JWT_HS256_SECRET", "12345678901234567890123456789012")]).unwrap();
    assert!(!format!("{settings:?}").contains("123456789"));
}

#[test]
fn the_environment_overrides_any_key_as_toml_or_as_plain_text() {
    let settings = from_environment(&[
        ("FANFARE__HTTP__LISTEN", "127.0.0.1:9"),
        ("FANFARE__FEED__PUSH_BELOW", "2"),
        ("FANFARE__API__PUBLIC_READS", "false"),
        ("FANFARE__HTTP__CORS_ORIGINS", "https://a.example, https://b.example"),
        ("FANFARE__HTTP__TRUSTED_PROXIES", "[\"10.0.0.0/8\"]"),
        ("FANFARE__AUTH__JWT_ISSUER", "1234"),
        ("FANFARE__SERVER__DATA_DIR", "\"/var/lib/fanfare\""),
        ("FANFARE_OTHER", "is not ours"),
        ("PATH", "neither"),
    ])
    .unwrap();
    assert_eq!(settings.http.listen.port(), 9);
    assert_eq!(settings.feed.push_below, 2);
    assert!(!settings.api.public_reads);
    assert_eq!(settings.http.cors_origins.len(), 2);
    assert_eq!(settings.http.trusted_proxies.len(), 1);
    assert_eq!(settings.auth.jwt_issuer.as_deref(), Some("1234"));
    assert_eq!(settings.server.data_dir, PathBuf::from("/var/lib/fanfare"));
}

#[test]
fn the_environment_overrides_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fanfare.toml");
    std::fs::write(&file, "[posts]\ntext_max = 10\n[feed]\ntimeline_cap = 3").unwrap();
    let environment = [(OsString::from("FANFARE__POSTS__TEXT_MAX"), OsString::from("20"))];
    let settings = Settings::load(Some(&file), environment).unwrap();
    assert_eq!((settings.posts.text_max, settings.feed.timeline_cap), (20, 3));
    let missing = Settings::load(Some(&folder.path().join("none.toml")), []).unwrap_err().to_string();
    assert!(missing.contains("none.toml: cannot be read"), "{missing}");
}

#[test]
fn an_unknown_variable_names_the_nearest_known_one() {
    for (name, nearest) in [
        ("FANFARE__HTTP__LISTN", "FANFARE__HTTP__LISTEN"),
        ("FANFARE__FEED__PUSHBELOW", "FANFARE__FEED__PUSH_BELOW"),
        ("FANFARE__http__listen", "FANFARE__HTTP__LISTEN"),
        ("FANFARE__LISTEN", "FANFARE__HTTP__LISTEN"),
    ] {
        let error = from_environment(&[(name, "1")]).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(nearest), "{error}");
    }
}

#[test]
fn published_keys_come_over_https_or_from_this_machine() {
    let url = |text: &str| from_file(&format!("[auth]\njwt_jwks_url = \"{text}\"")).map(|_| ());
    for good in [
        "https://id.example/.well-known/jwks.json",
        "https://id.example:8443/keys?policy=sign-in",
        "https://keys.example/v1/jwk/someone@accounts.example",
        "https://[2001:db8::1]/jwks",
        "https://10.0.0.7/jwks",
        "http://127.0.0.1:9999/jwks",
        "http://127.1.2.3/jwks",
        "http://[::1]:9999/jwks",
        "http://LOCALHOST/jwks",
    ] {
        assert_eq!(url(good), Ok(()), "{good}");
    }
    for bad in [
        "http://id.example/jwks",
        "http://localhost.id.example/jwks",
        "http://127.0.0.1.example/jwks",
        "http://0.0.0.0/jwks",
        "http://[::2]/jwks",
        "http://10.0.0.7/jwks",
        "http://localhost@id.example/jwks",
        "https://me@id.example/jwks",
        "https://id.example/jwks#keys",
        "https:///jwks",
        "ftp://localhost/jwks",
        "localhost/jwks",
        "",
    ] {
        let error = url(bad).unwrap_err().to_string();
        assert!(error.starts_with("fanfare.toml: `auth.jwt_jwks_url` cannot be"), "{bad}: {error}");
    }
    let alone = from_file("[auth]\njwt_jwks_ca_file = \"/etc/ca.pem\"").unwrap_err().to_string();
    assert!(alone.contains("auth.jwt_jwks_ca_file") && alone.contains("auth.jwt_jwks_url"), "{alone}");
}
