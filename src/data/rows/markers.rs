//! Value of the rows of read markers.

use fanfare_protocol::Id;

/// A read marker: where it stands, and the version that its row was written with, which what replaces it must be above.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MarkerRow {
    /// Everything up to here was read.
    pub last_read: Id,
    /// Version of the row.
    pub version: u64,
}

impl MarkerRow {
    /// Value of the row: two numbers, big-endian.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        [self.last_read.0, self.version].map(u64::to_be_bytes).concat()
    }

    /// Marker in stored bytes. Rows of earlier versions hold the first number alone, and it was their version too.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let last_read = Id::from_bytes(bytes)?;
        let version = bytes.get(8..).and_then(Id::from_bytes).unwrap_or(last_read).0;
        Some(Self { last_read, version })
    }

    /// The row that takes this one's place when the marker stands at `last_read`.
    #[must_use]
    pub fn moved_to(self, last_read: Id) -> Self {
        Self { last_read, version: last_read.0.max(self.version + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_survives_its_bytes_and_one_of_an_earlier_version_is_its_own_version() {
        let row = MarkerRow { last_read: Id(5), version: 9 };
        assert_eq!(MarkerRow::from_bytes(&row.to_bytes()), Some(row));
        assert_eq!(MarkerRow::from_bytes(&Id(7).to_bytes()), Some(MarkerRow { last_read: Id(7), version: 7 }));
        assert_eq!(MarkerRow::from_bytes(b"short"), None);
        assert_eq!(row.moved_to(Id(20)).version, 20);
        assert_eq!(row.moved_to(Id(3)).version, 10, "also when it goes back");
    }
}
