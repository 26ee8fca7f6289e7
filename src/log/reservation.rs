//! Reservations of several nodes on the same engines, by compare-and-set: each has read what all others reserved.
//!
//! A node that is alone writes its moments into its own commits (`mint.rs`). Of two that did so in one row the later
//! write would take the earlier one's reservation away, and a start would give out ids that were given out. So where
//! there may be others a row is held under a number that is new with each change, one for each number that stands in
//! ids: nodes of one number take turns, each with a range above that of the one before, and no id is of two of them.

use fanfare_engines::{EngineError, Replaced, RowKey, Tables, Unique};
use fanfare_protocol::Id;

use crate::base::error::Result;
use crate::base::id::{NODE_MAX, number_of_others};
use crate::base::token::attempt;
use crate::data::rows::in_row;
use crate::data::tables;
use crate::log::moments::Moments;

/// Moments as they are held: the number of the last change, and what it wrote.
fn in_held(value: &[u8]) -> Option<(u64, Moments)> {
    Some((Id::from_bytes(value)?.0, Moments::from_bytes(value.get(8..)?)?))
}

fn row(number: u16) -> RowKey {
    RowKey::new(tables::META, tables::ONE, format!("clock_of/{number}"))
}

/// The moments that any node stored, alone or with others: the latest of each.
///
/// # Errors
/// When the engine fails, or a row is damaged.
pub async fn read(tables: &dyn Tables) -> Result<Moments, EngineError> {
    let alone = Moments::read(tables).await?;
    let rows: Vec<RowKey> = (number_of_others(0)..=NODE_MAX).map(row).collect();
    let mut latest = alone;
    for (row, value) in rows.iter().zip(tables.get_many(&rows).await?) {
        if let Some((_, held)) = in_row(row, value, in_held)? {
            latest = latest.latest(held);
        }
    }
    // Writes of the one row are its version.
    Ok(Moments { writes: alone.writes, ..latest })
}

/// Changes what the nodes of `number` hold, and answers it as it was and as it is. Whoever else changes it meanwhile
/// comes before, or after.
///
/// # Errors
/// When the engine fails: it may be changed then.
pub async fn change(
    tables: &dyn Tables,
    number: u16,
    change: impl Fn(Moments) -> Moments,
) -> Result<(Moments, Moments)> {
    let row = row(number);
    loop {
        let token = attempt()?;
        let stored = in_row(&row, tables.get(&row).await?, in_held)?;
        let before = stored.map(|(_, moments)| moments).unwrap_or_default();
        let after = Moments { writes: before.writes + 1, ..change(before) };
        let value = [&token.to_be_bytes()[..], &after.to_bytes()].concat().into();
        let is_done = match stored {
            None => tables.insert_unique(row.clone(), value, token).await? == Unique::Mine,
            Some((held, _)) => tables.replace_unique(row.clone(), value, held, token).await? == Replaced::Mine,
        };
        if is_done {
            return Ok((before, after));
        }
    }
}

#[cfg(test)]
#[path = "reservation_tests.rs"]
mod tests;
