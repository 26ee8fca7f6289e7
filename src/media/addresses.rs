//! Addresses of uploads. Those of public ones stand for ever; those of uploads for messages are signed, and good for
//! some hours. Pure.
//!
//! The signature is over the upload and the hour in which it ends, so that an address stays the same for an hour, and
//! caches of one person's browser are of use.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanfare_protocol::{Id, Timestamp};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use utoipa::IntoParams;

use super::service::Variant;
use crate::base::error::{Error, Result};

const HOUR_MS: u64 = 3_600_000;
/// Bytes of a signature: as many as nobody guesses.
const SIGNATURE_BYTES: usize = 16;
/// Text that the key is derived with, so that no other signature of the server is one of an address.
const PURPOSE: &[u8] = b"addresses of media";

/// End of a private address, and its proof.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Signature {
    /// Hour since the Unix epoch with which the address ends.
    #[serde(default)]
    #[param(required = false)]
    until: Option<String>,
    /// Proof that the server gave the address out.
    #[serde(default)]
    #[param(required = false)]
    sig: Option<String>,
}

/// Addresses of uploads; a clone is as good.
#[derive(Clone)]
pub struct MediaAddresses {
    /// Start of every address, such as `https://social.example`; empty for addresses without a host.
    public_url: String,
    keyed: Hmac<Sha256>,
    /// Hours for which a signed address is good, at least.
    hours: u64,
}

impl MediaAddresses {
    /// Addresses below `public_url`, signed with a key that follows from `secret`; nodes that share data share it.
    ///
    /// # Errors
    /// When HMAC refuses the secret, which it does for no length.
    pub fn new(secret: &[u8], public_url: String, hours: u16) -> Result<Self> {
        let keyed = |key: &[u8]| -> Result<Hmac<Sha256>> {
            Hmac::new_from_slice(key).map_err(|error| Error::Internal(error.to_string()))
        };
        let key = keyed(secret)?.chain_update(PURPOSE).finalize().into_bytes();
        Ok(Self { public_url, keyed: keyed(&key)?, hours: hours.into() })
    }

    /// Address of a public upload.
    #[must_use]
    pub fn public(&self, id: Id, variant: Variant) -> String {
        format!("{}/media/{id}/{}", self.public_url, variant.name())
    }

    /// Address of a private upload, which is good until [`end`](Self::end).
    #[must_use]
    pub fn signed(&self, id: Id, variant: Variant, now_ms: u64) -> String {
        let hour = self.last_hour(now_ms);
        let signature = URL_SAFE_NO_PAD.encode(self.signature(id, hour));
        format!("{}?until={hour}&sig={signature}", self.public(id, variant))
    }

    /// Moment from which an address that is signed now is good no more.
    #[must_use]
    pub fn end(&self, now_ms: u64) -> Timestamp {
        Timestamp(self.last_hour(now_ms) * HOUR_MS)
    }

    /// Milliseconds for which a signature is still good; `None` for one that is not.
    #[must_use]
    pub fn good_for_ms(&self, id: Id, given: &Signature, now_ms: u64) -> Option<u64> {
        let hour: u64 = given.until.as_deref()?.parse().ok()?;
        let rest_ms = hour.checked_mul(HOUR_MS)?.checked_sub(now_ms).filter(|rest_ms| *rest_ms > 0)?;
        let signature = URL_SAFE_NO_PAD.decode(given.sig.as_deref()?).ok()?;
        bool::from(signature.ct_eq(&self.signature(id, hour))).then_some(rest_ms)
    }

    fn last_hour(&self, now_ms: u64) -> u64 {
        now_ms / HOUR_MS + self.hours + 1
    }

    fn signature(&self, id: Id, hour: u64) -> [u8; SIGNATURE_BYTES] {
        let full = self.keyed.clone().chain_update(id.to_bytes()).chain_update(hour.to_be_bytes()).finalize();
        let mut short = [0; SIGNATURE_BYTES];
        short.copy_from_slice(&full.into_bytes()[..SIGNATURE_BYTES]);
        short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_900_000_000_000;

    fn of(address: &str) -> Signature {
        let (_, query) = address.split_once('?').unwrap();
        serde_urlencoded::from_str(query).unwrap()
    }

    fn addresses(secret: &[u8], hours: u16) -> MediaAddresses {
        MediaAddresses::new(secret, "https://social.example".to_owned(), hours).unwrap()
    }

    #[test]
    fn an_address_is_good_for_its_hours_for_every_form_of_its_upload_and_for_no_other() {
        for hours in [1, 24] {
            let addresses = addresses(b"secret", hours);
            let thumbnail = addresses.signed(Id(7), Variant::Thumbnail, NOW_MS);
            assert!(thumbnail.starts_with("https://social.example/media/7/thumbnail?until="), "{thumbnail}");
            let given = of(&thumbnail);
            let end = addresses.end(NOW_MS).0;
            assert!(end - NOW_MS > u64::from(hours) * HOUR_MS && end - NOW_MS <= u64::from(hours + 1) * HOUR_MS);
            assert_eq!(addresses.good_for_ms(Id(7), &given, NOW_MS), Some(end - NOW_MS));
            assert_eq!(addresses.good_for_ms(Id(7), &given, end - 1), Some(1));
            assert_eq!(addresses.good_for_ms(Id(7), &given, end), None);
            assert_eq!(addresses.good_for_ms(Id(8), &given, NOW_MS), None);
        }
    }

    #[test]
    fn nothing_but_the_servers_own_signature_of_this_hour_is_good() {
        let addresses = addresses(b"secret", 1);
        let good = of(&addresses.signed(Id(7), Variant::Original, NOW_MS));
        let later = addresses.last_hour(NOW_MS) + 1;
        let other = of(&self::addresses(b"another", 1).signed(Id(7), Variant::Original, NOW_MS));
        let sig = good.sig.clone().unwrap();
        for wrong in [
            Signature::default(),
            Signature { sig: None, ..good.clone() },
            Signature { until: None, ..good.clone() },
            Signature { until: Some(later.to_string()), ..good.clone() },
            Signature { until: Some(u64::MAX.to_string()), ..good.clone() },
            Signature { until: Some("-1".to_owned()), ..good.clone() },
            Signature { sig: Some(String::new()), ..good.clone() },
            Signature { sig: Some(sig[..20].to_owned()), ..good.clone() },
            Signature { sig: Some(format!("{sig}AA")), ..good.clone() },
            Signature { sig: Some("é".to_owned()), ..good },
            other,
        ] {
            assert_eq!(addresses.good_for_ms(Id(7), &wrong, NOW_MS), None, "{wrong:?}");
        }
    }

    #[test]
    fn an_address_stays_the_same_for_an_hour() {
        let (addresses, hour_ms) = (addresses(b"secret", 2), NOW_MS / HOUR_MS * HOUR_MS);
        let at = |now_ms| addresses.signed(Id(7), Variant::Original, now_ms);
        assert_eq!(at(hour_ms), at(hour_ms + HOUR_MS - 1));
        assert_ne!(at(hour_ms), at(hour_ms + HOUR_MS));
    }
}
