//! Value of the rows of deleted accounts whose data is still being removed.

use bytes::Bytes;
use fanfare_protocol::Id;

/// Progress of a purge: the list, and the last key in it that was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PurgeProgress {
    pub list: u8,
    pub last: Option<Bytes>,
    /// Something was removed since the lists were begun.
    pub found: bool,
    /// Something could not be removed since then.
    pub failed: bool,
    /// Version of the row, which the next one must be above; 0 where the row does not tell.
    pub version: u64,
}

/// Bit of the list's number: a version follows. Rows of earlier versions have none.
const VERSIONED: u8 = 0x80;

impl PurgeProgress {
    /// Value of the row.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.list | VERSIONED, u8::from(self.found), u8::from(self.failed)];
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes.extend_from_slice(self.last.as_deref().unwrap_or_default());
        bytes
    }

    /// A row that holds no place is one of a purge that begins.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let Some(([list, found, failed], last)) = bytes.split_first_chunk::<3>() else { return Self::default() };
        let (version, last) = match last.split_first_chunk::<8>() {
            Some((version, last)) if list & VERSIONED != 0 => (u64::from_be_bytes(*version), last),
            _ => (0, last),
        };
        let last = (!last.is_empty()).then(|| Bytes::copy_from_slice(last));
        Self { list: list & !VERSIONED, last, found: *found != 0, failed: *failed != 0, version }
    }

    /// The place at which the lists are begun again.
    #[must_use]
    pub fn begun_again(&self) -> Self {
        Self { version: self.version, ..Self::default() }
    }

    /// The last id that was seen.
    #[must_use]
    pub fn id(&self) -> Option<Id> {
        self.last.as_deref().and_then(Id::from_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_bytes_and_an_empty_row_is_a_beginning() {
        for last in [None, Some(Bytes::from_static(b"key"))] {
            let place = PurgeProgress { list: 5, last, found: true, failed: false, version: 7 };
            assert_eq!(PurgeProgress::from_bytes(&place.to_bytes()), place);
        }
        assert_eq!(PurgeProgress::from_bytes(b""), PurgeProgress::default());
        let earlier =
            PurgeProgress { list: 5, last: Some(Bytes::from_static(b"key")), found: true, ..Default::default() };
        assert_eq!(PurgeProgress::from_bytes(b"\x05\x01\x00key"), earlier);
    }
}
