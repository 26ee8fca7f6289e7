//! Passwords: argon2id, as PHC strings that carry their own parameters.
//!
//! Log-in and registration call this. Hashing costs tens of milliseconds and megabytes by design, so it runs behind a
//! [`Gate`] at which addresses take turns, and an unknown account costs the same as a wrong password.
//!
//! A password is hashed in the form of RFC 8265 (`OpaqueString`): the same however a keyboard composes its letters.
//! Earlier versions hashed what was typed, so a log-in whose prepared form differs from what was typed tries both.

use std::borrow::Cow;
use std::sync::Arc;

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use precis_core::profile::PrecisFastInvocation as _;
use precis_profiles::OpaqueString;

use crate::base::error::{Error, Result};
use crate::base::gate::{Gate, Named};
use crate::base::limits::auth::{HASHES_RUNNING_MAX, HASHES_WAITING_MAX};
use crate::base::network::Network;
use crate::users::names::composed;

/// Fewest characters in a new password.
const PASSWORD_CHARS_MIN: usize = 8;
/// Most characters in a password; longer ones are refused before any hashing.
const PASSWORD_CHARS_MAX: usize = 128;
/// Characters of the longest spelling of one that a normal form can have; more cannot be a password.
const SPELLING_CHARS_MAX: usize = 4;
/// Bytes of salt.
const SALT_BYTES: usize = 16;

/// Cost of a hash. The defaults are the first choice of OWASP's Password Storage Cheat Sheet for argon2id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory, KiB; at least 8 times `lanes`.
    pub memory_kib: u32,
    /// Passes over the memory, at least 1.
    pub iterations: u32,
    /// Lanes, at least 1; they run one after the other.
    pub lanes: u32,
}

impl Default for PasswordCost {
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, lanes: 1 }
    }
}

/// Answer of [`Passwords::verify`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordCheck {
    /// Not this password, or no such account.
    Wrong,
    /// The password; `rehash` when it is stored with another cost than today's, or in another form, and should be
    /// hashed anew.
    Right {
        /// Store a new hash.
        rehash: bool,
    },
}

/// Hashes and verifies. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Passwords {
    argon2: Argon2<'static>,
    gate: Gate<Network>,
    /// Verified against when there is no account; nobody knows its password.
    dummy: Arc<str>,
}

/// The form in which a password is hashed: other spaces than U+0020 are that one, letters are composed (NFC). `None`
/// for what the profile does not take, such as control characters, and for what is too long for any password.
fn prepared(password: &str) -> Option<Cow<'_, str>> {
    if password.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !password.is_empty() {
        return Some(Cow::Borrowed(password));
    }
    if password.chars().nth(PASSWORD_CHARS_MAX * SPELLING_CHARS_MAX).is_some() {
        return None;
    }
    // Composed before the profile looks at it (RFC 8264, 7): it takes Hangul syllables, and not what they are made of.
    OpaqueString::enforce(composed(password)).ok()
}

/// Tells what is wrong with a new password, for a 422.
pub fn check_new(password: &str) -> Result<(), &'static str> {
    let prepared = prepared(password);
    let chars = prepared.as_deref().unwrap_or(password).chars().count();
    if chars < PASSWORD_CHARS_MIN {
        return Err("must have at least 8 characters");
    }
    if chars > PASSWORD_CHARS_MAX {
        return Err("must have at most 128 characters");
    }
    if prepared.is_none() {
        return Err("holds a control character, or another one that cannot be in a password (RFC 8265)");
    }
    Ok(())
}

impl Passwords {
    /// Hashes once to make the dummy, so it takes as long as a hash. [`Error::Internal`] when `cost` is out of range.
    pub fn new(cost: PasswordCost) -> Result<Self> {
        let params = Params::new(cost.memory_kib, cost.iterations, cost.lanes, None)
            .map_err(|cause| Error::Internal(format!("argon2 settings: {cause}")))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut unknowable = [0_u8; 32];
        fill(&mut unknowable)?;
        let dummy = hash_now(&argon2, &unknowable)?.into();
        let named = Named { reason: "too many log-ins at once", metric: "hashes" };
        Ok(Self { argon2, gate: Gate::new(HASHES_RUNNING_MAX, HASHES_WAITING_MAX, named), dummy })
    }

    /// The PHC string to store for `password`, with a fresh salt, for somebody at `from`. [`Error::Overloaded`] when
    /// too many wait.
    pub async fn hash(&self, password: String, from: Network) -> Result<String> {
        let argon2 = self.argon2.clone();
        let hash = move || hash_now(&argon2, prepared(&password).unwrap_or(Cow::Borrowed(&password)).as_bytes());
        self.gate.run(from, hash).await?
    }

    /// Whether `password` is that of `stored`, a PHC string of [`hash`](Self::hash), or `None` when there is no account
    /// or it has no password: that is [`PasswordCheck::Wrong`] at the same cost. [`Error::Overloaded`] when too many
    /// wait, [`Error::Internal`] when `stored` does not parse.
    ///
    /// One hash, and a second one only if the password is wrong in its prepared form and that is not what was typed:
    /// the number depends on what was typed, never on the account.
    pub async fn verify(&self, password: String, stored: Option<String>, from: Network) -> Result<PasswordCheck> {
        let prepared = prepared(&password).map(Cow::into_owned);
        let typed = (prepared.as_ref() != Some(&password)).then_some(password);
        // Refused for its length alone: it is the same for every account, so it tells nothing.
        let fits = |form: &String| form.chars().nth(PASSWORD_CHARS_MAX).is_none();
        let (prepared, typed) = (prepared.filter(fits), typed.filter(fits));
        if prepared.is_none() && typed.is_none() {
            return Ok(PasswordCheck::Wrong);
        }
        let (argon2, dummy) = (self.argon2.clone(), Arc::clone(&self.dummy));
        let verify = move || {
            let against = stored.as_deref().unwrap_or(&dummy);
            let verdict = |form: Option<&String>| match form {
                Some(form) => verify_now(&argon2, form.as_bytes(), against),
                None => Ok(PasswordCheck::Wrong),
            };
            let mut found = verdict(prepared.as_ref())?;
            if found == PasswordCheck::Wrong {
                found = verdict(typed.as_ref())?;
                // Stored by an earlier version, as it was typed: from now on in the form that all have.
                if let PasswordCheck::Right { rehash } = &mut found {
                    *rehash |= prepared.is_some();
                }
            }
            Ok(if stored.is_some() { found } else { PasswordCheck::Wrong })
        };
        self.gate.run(from, verify).await?
    }
}

fn hash_now(argon2: &Argon2<'_>, password: &[u8]) -> Result<String> {
    let mut salt = [0_u8; SALT_BYTES];
    fill(&mut salt)?;
    let hash: PasswordHash = argon2.hash_password_with_salt(password, &salt).map_err(failed)?;
    Ok(hash.to_string())
}

fn verify_now(argon2: &Argon2<'_>, password: &[u8], stored: &str) -> Result<PasswordCheck> {
    let hash = PasswordHash::new(stored).map_err(failed)?;
    match argon2.verify_password(password, &hash) {
        Ok(()) => Ok(PasswordCheck::Right { rehash: needs_rehash(argon2.params(), &hash) }),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(PasswordCheck::Wrong),
        Err(cause) => Err(failed(cause)),
    }
}

fn needs_rehash(today: &Params, stored: &PasswordHash) -> bool {
    let cost = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
    let same_kind = stored.algorithm == Algorithm::Argon2id.ident() && stored.version == Some(Version::V0x13.into());
    !same_kind || Params::try_from(stored).map_or(true, |params| cost(&params) != cost(today))
}

fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|cause| Error::Internal(format!("no randomness: {cause}")))
}

fn failed(cause: impl std::fmt::Display) -> Error {
    Error::Internal(format!("password hash: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Network = Network::V4(std::net::Ipv4Addr::LOCALHOST);
    /// Cheapest cost that argon2 allows, so that tests take microseconds.
    const CHEAP: PasswordCost = PasswordCost { memory_kib: 8, iterations: 1, lanes: 1 };

    #[tokio::test]
    async fn the_right_password_passes_and_any_other_does_not() {
        let passwords = Passwords::new(CHEAP).unwrap();
        let stored = passwords.hash("correct horse ⭐".into(), HERE).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{stored}");
        let right = passwords.verify("correct horse ⭐".into(), Some(stored.clone()), HERE).await.unwrap();
        assert_eq!(right, PasswordCheck::Right { rehash: false });
        for wrong in ["", "correct horse", "correct horse ⭐ ", &"x".repeat(4_000)] {
            assert_eq!(
                passwords.verify(wrong.into(), Some(stored.clone()), HERE).await.unwrap(),
                PasswordCheck::Wrong,
                "{wrong}"
            );
        }
    }

    #[tokio::test]
    async fn the_same_password_is_stored_differently_each_time() {
        let passwords = Passwords::new(CHEAP).unwrap();
        let (first, second) =
            (passwords.hash("password1".into(), HERE).await, passwords.hash("password1".into(), HERE).await);
        assert_ne!(first.unwrap(), second.unwrap());
    }

    #[tokio::test]
    async fn an_account_that_does_not_exist_is_a_wrong_password() {
        let passwords = Passwords::new(CHEAP).unwrap();
        assert_eq!(passwords.verify("password1".into(), None, HERE).await.unwrap(), PasswordCheck::Wrong);
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_still_passes_and_asks_to_be_renewed() {
        let stored = Passwords::new(CHEAP).unwrap().hash("password1".into(), HERE).await.unwrap();
        let dearer = Passwords::new(PasswordCost { iterations: 2, ..CHEAP }).unwrap();
        let verdict = dearer.verify("password1".into(), Some(stored), HERE).await.unwrap();
        assert_eq!(verdict, PasswordCheck::Right { rehash: true });
    }

    #[tokio::test]
    async fn a_stored_hash_that_does_not_parse_is_an_internal_error() {
        let passwords = Passwords::new(CHEAP).unwrap();
        for broken in ["", "plain", "$argon2id$v=19$m=8,t=1,p=1$"] {
            let answer = passwords.verify("password1".into(), Some(broken.into()), HERE).await;
            assert!(!matches!(answer, Ok(PasswordCheck::Right { .. })), "{broken} verified");
        }
    }

    #[tokio::test]
    async fn a_password_is_the_same_however_its_letters_are_composed() {
        let passwords = Passwords::new(CHEAP).unwrap();
        for (registered, typed) in [
            ("p\u{e4}ssw\u{f6}rd-lang", "pa\u{308}sswo\u{308}rd-lang"),
            ("pa\u{308}sswo\u{308}rd-lang", "p\u{e4}ssw\u{f6}rd-lang"),
            ("\u{ae40}\u{ae40}\u{ae40}\u{ae40}", "\u{1100}\u{1175}\u{11b7}".repeat(4).as_str()),
            ("a\u{a0}b\u{3000}c d", "a b c d"),
        ] {
            let stored = passwords.hash(registered.into(), HERE).await.unwrap();
            let verdict = passwords.verify(typed.into(), Some(stored.clone()), HERE).await.unwrap();
            assert_eq!(verdict, PasswordCheck::Right { rehash: false }, "{registered:?} typed as {typed:?}");
            // Case and width make another password.
            for other in [typed.to_uppercase(), typed.replace('a', "ａ")] {
                let verdict = passwords.verify(other.clone(), Some(stored.clone()), HERE).await.unwrap();
                assert_eq!(verdict == PasswordCheck::Wrong, other != typed, "{other:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_password_stored_as_it_was_typed_goes_on_working_and_is_stored_anew() {
        let passwords = Passwords::new(CHEAP).unwrap();
        // What earlier versions took: other spaces, decomposed letters, tabs, joined emoji.
        for (typed, prepared) in
            [("pa\u{308}sswort", true), ("two\u{a0}words", true), ("tab\tbed!", false), ("👩\u{200d}🚀", false)]
        {
            let stored = hash_now(&passwords.argon2, typed.as_bytes()).unwrap();
            let verdict = passwords.verify(typed.into(), Some(stored.clone()), HERE).await.unwrap();
            assert_eq!(verdict, PasswordCheck::Right { rehash: prepared }, "{typed:?}");
            assert_eq!(passwords.verify("another one".into(), Some(stored), HERE).await.unwrap(), PasswordCheck::Wrong);
            assert_eq!(passwords.verify(typed.into(), None, HERE).await.unwrap(), PasswordCheck::Wrong);
            let renewed = passwords.hash(typed.into(), HERE).await.unwrap();
            let verdict = passwords.verify(typed.into(), Some(renewed), HERE).await.unwrap();
            assert_eq!(verdict, PasswordCheck::Right { rehash: false }, "{typed:?}");
        }
    }

    #[test]
    fn a_new_password_is_one_that_the_profile_takes() {
        for good in ["correct horse", "pässwörter", "пароль123", "密码密码密码密码", "🔑🔑🔑🔑🔑🔑🔑🔑"]
        {
            assert_eq!(check_new(good), Ok(()), "{good}");
        }
        for bad in ["a\tb\tc\td\t", "1234567\0", "1234567\u{ad}", "👩\u{200d}🚀👩\u{200d}🚀👩\u{200d}🚀"] {
            assert!(check_new(bad).unwrap_err().contains("RFC 8265"), "{bad:?}");
        }
        // Counted composed, so that a keyboard makes no password longer or shorter.
        assert!(check_new(&"a\u{308}".repeat(7)).is_err() && check_new(&"a\u{308}".repeat(8)).is_ok());
        assert!(check_new(&"a\u{308}".repeat(128)).is_ok() && check_new(&"a\u{308}".repeat(129)).is_err());
        assert!(check_new(&"ä".repeat(100_000)).is_err());
    }

    #[test]
    fn a_cost_that_argon2_does_not_take_is_refused() {
        assert!(Passwords::new(PasswordCost { memory_kib: 1, ..CHEAP }).is_err());
        assert!(Passwords::new(PasswordCost { iterations: 0, ..CHEAP }).is_err());
    }

    #[test]
    fn a_new_password_has_8_to_128_characters() {
        assert!(check_new("1234567").is_err() && check_new(&"ä".repeat(129)).is_err());
        assert!(check_new("12345678").is_ok() && check_new(&"ä".repeat(128)).is_ok());
    }
}
