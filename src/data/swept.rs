//! The last hour whose expired rows were removed, as a row in META, and rows that are written again when their hour is
//! over.

use bytes::Bytes;
use fanfare_engines::{Batch, EngineError, RowKey, Tables};

use crate::base::limits;
use crate::data::rows::{in_row, number_in};
use crate::data::tables;

/// Key of the row, in the `meta` table.
const META_SWEPT: Bytes = Bytes::from_static(b"swept");
/// Key of the last hour that an earlier version swept.
const META_SWEPT_HOUR: Bytes = Bytes::from_static(b"swept_hour");
/// Hours behind the last one that was swept into which what expired is put again: a sweep that is under way may be in
/// the first of them.
const AGAIN_IN_HOURS: u32 = 3;

/// The last hour that was swept, as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Hours since the Unix epoch.
    pub hour: u32,
    /// Version of the row: the hour can go back.
    writes: u32,
}

impl Swept {
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self { hour: number_in(bytes)?, writes: number_in(bytes.get(4..)?)? })
    }

    /// The last hour as stored; `None` before the first sweep.
    ///
    /// # Errors
    /// When the engine fails, or the row is damaged.
    pub async fn read(tables: &dyn Tables) -> Result<Option<Self>, EngineError> {
        let stored = in_row(&row(META_SWEPT), tables.get(&row(META_SWEPT)).await?, Self::from_bytes)?;
        if stored.is_some() {
            return Ok(stored);
        }
        let old = in_row(&row(META_SWEPT_HOUR), tables.get(&row(META_SWEPT_HOUR)).await?, number_in)?;
        Ok(old.map(|hour| Self { hour, writes: 0 }))
    }

    /// Adds the row to `batch`: `hour` was swept, and `before` is what was stored.
    pub fn write(hour: u32, before: Option<Self>, batch: &mut Batch) {
        let writes = before.map_or(0, |before| before.writes) + 1;
        batch.put_versioned(row(META_SWEPT), [hour, writes].map(u32::to_be_bytes).concat(), u64::from(writes));
    }

    /// The hour to go on with at the hour `now`. Whoever swept the future, by a clock that was fast, has passed over
    /// what was written since for the hours between.
    #[must_use]
    pub fn next(self, now: u32) -> u32 {
        match self.hour.checked_sub(now) {
            Some(ahead) if ahead > limits::SWEPT_AHEAD_HOURS_MAX => now.saturating_sub(limits::SWEEP_AGAIN_HOURS),
            _ => self.hour + 1,
        }
    }

    /// Lets what `batch` writes again expire again: of what was to expire in an hour that was swept since, rows without
    /// versions come back, and nobody would look into that hour another time.
    pub fn expire_again(self, batch: &mut Batch) {
        for row in batch.rows.iter_mut().filter(|row| row.key.table == tables::EXPIRY && row.value.is_some()) {
            if number_in(&row.key.partition).is_some_and(|hour| hour <= self.hour) {
                let later = tables::hour_partition(self.hour.saturating_add(AGAIN_IN_HOURS));
                // In the shard that it was in, if it was in one.
                row.key.partition = [&later[..], &row.key.partition[later.len()..]].concat().into();
            }
        }
    }
}

fn row(key: Bytes) -> RowKey {
    RowKey::new(tables::META, tables::ONE, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_swept_the_future_sweeps_again_what_was_written_since() {
        let at = |hour| Swept { hour, writes: 1 }.next(500_000);
        assert_eq!((at(499_990), at(499_999), at(500_010)), (499_991, 500_000, 500_011));
        assert_eq!(at(500_000 + 60 * 24), 500_000 - limits::SWEEP_AGAIN_HOURS);
    }

    #[test]
    fn what_was_to_expire_in_an_hour_that_was_swept_expires_later() {
        let key = tables::handle_row("ann");
        let again = |hour| {
            let mut batch = Batch::default();
            batch.put(tables::expiry_row(hour, &key), Bytes::new());
            batch.put(key.clone(), Bytes::from_static(b"1"));
            Swept { hour: 500, writes: 1 }.expire_again(&mut batch);
            assert_eq!(
                (tables::expiring(&batch.rows[0].key.clustering), &batch.rows[1].key),
                (Some(key.clone()), &key)
            );
            number_in(&batch.rows[0].key.partition).unwrap()
        };
        assert_eq!((again(3), again(500), again(501)), (503, 503, 501));
    }
}
