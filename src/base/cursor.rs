//! Page cursors: a position in one list, sealed so that a forged one, or one of another list or caller, is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanfare_protocol::Id;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::base::error::{Error, Result};

const MAC_BYTES: usize = 8;
/// Characters of a cursor; a longer one is refused unread.
const TEXT_MAX: usize = 1_024;

/// List that a cursor belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Name of the list, such as `feed`.
    pub list: &'a str,
    /// Person whose list it is, `Id(0)` for public ones.
    pub caller: Id,
    /// Subject of the list: a user, a post, or `Id(0)`.
    pub subject: Id,
}

/// Seals and opens cursors with the server's secret.
#[derive(Clone)]
pub struct Cursors {
    keyed: Hmac<Sha256>,
}

impl Cursors {
    /// Cursors sealed with `secret`; nodes that share data share it.
    ///
    /// # Errors
    /// When HMAC refuses the secret, which it does for no length.
    pub fn new(secret: &[u8]) -> Result<Self> {
        let keyed = Hmac::new_from_slice(secret).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Self { keyed })
    }

    fn mac(&self, scope: Scope<'_>, position: &[u8]) -> [u8; MAC_BYTES] {
        let mut mac = self.keyed.clone();
        mac.update(scope.list.as_bytes());
        mac.update(&[0]);
        mac.update(&scope.caller.to_bytes());
        mac.update(&scope.subject.to_bytes());
        mac.update(position);
        let full = mac.finalize().into_bytes();
        let mut short = [0; MAC_BYTES];
        short.copy_from_slice(&full[..MAC_BYTES]);
        short
    }

    /// The cursor of a position.
    #[must_use]
    pub fn seal(&self, scope: Scope<'_>, position: &[u8]) -> String {
        let mut bytes = position.to_vec();
        bytes.extend_from_slice(&self.mac(scope, position));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position in a cursor.
    ///
    /// # Errors
    /// 400 when it is not a cursor of this list and caller.
    pub fn open(&self, scope: Scope<'_>, text: &str) -> Result<Vec<u8>> {
        if text.len() > TEXT_MAX {
            return Err(Error::bad_cursor());
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Error::bad_cursor())?;
        let Some(at) = bytes.len().checked_sub(MAC_BYTES) else { return Err(Error::bad_cursor()) };
        let mac = bytes.split_off(at);
        if bool::from(self.mac(scope, &bytes).ct_eq(mac.as_slice())) { Ok(bytes) } else { Err(Error::bad_cursor()) }
    }

    /// The cursor of an id.
    #[must_use]
    pub fn seal_id(&self, scope: Scope<'_>, id: Id) -> String {
        self.seal(scope, &id.to_bytes())
    }

    /// The id in an optional cursor.
    ///
    /// # Errors
    /// 400 when it is not a cursor of this list and caller.
    pub fn open_id(&self, scope: Scope<'_>, text: Option<&str>) -> Result<Option<Id>> {
        let Some(text) = text else { return Ok(None) };
        let position = self.open(scope, text)?;
        if position.len() != 8 {
            return Err(Error::bad_cursor());
        }
        Ok(Id::from_bytes(&position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_of_another_list_caller_or_secret_is_refused() {
        let cursors = Cursors::new(b"secret").unwrap();
        let scope = Scope { list: "feed", caller: Id(7), subject: Id(0) };
        let cursor = cursors.seal_id(scope, Id(99));
        assert_eq!(cursors.open_id(scope, Some(&cursor)).unwrap(), Some(Id(99)));
        for other in
            [Scope { list: "posts", ..scope }, Scope { caller: Id(8), ..scope }, Scope { subject: Id(1), ..scope }]
        {
            assert!(cursors.open_id(other, Some(&cursor)).is_err());
        }
        assert!(Cursors::new(b"other").unwrap().open_id(scope, Some(&cursor)).is_err());
        for forged in ["", "!", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA"] {
            assert!(cursors.open_id(scope, Some(forged)).is_err(), "{forged}");
        }
    }
}
