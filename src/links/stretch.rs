//! Stretches of numbers: each is opened once, before the first of its codes is given out. So codes need no claim of
//! their own.
//!
//! A number is leased by one node alone: nobody can have its code but who chooses it as an alias. Whoever gives codes
//! out opens their stretch, which is a row that stays, and looks then which of them are claimed. Whoever takes an alias
//! claims it, and looks then whether the stretch of its number is open. Of the two the later one sees the earlier one:
//! either the number is skipped, or the alias is refused.

use fanfare_protocol::Id;

use super::code::Codes;
use super::lease::LeasedNumbers;
use crate::base::error::Result;
use crate::base::limits::links::STRETCH_NUMBERS;
use crate::data::store::Store;
use crate::data::tables;

/// The stretch of a number.
const fn of(number: u64) -> u64 {
    number / STRETCH_NUMBERS
}

/// The first part of `numbers` that is in one stretch.
#[must_use]
pub fn first_part(numbers: &LeasedNumbers) -> LeasedNumbers {
    let end = (of(numbers.start) + 1) * STRETCH_NUMBERS;
    numbers.start..end.min(numbers.end)
}

/// Opens the stretch of `numbers`, which are of one and leased by the caller; answers those whose codes nobody has
/// claimed. They may be given out as long as the lease is the caller's: aliases that are claimed from now on are
/// refused. `attempt` names this call and no other.
///
/// # Errors
/// When the engine fails; the stretch may be open then.
pub async fn open(store: &Store, codes: &Codes, numbers: LeasedNumbers, Id(attempt): Id) -> Result<Vec<u64>> {
    // Whoever opened it, it is open.
    store.insert_unique(tables::link_stretch_row(of(numbers.start)), bytes::Bytes::new(), attempt).await?;
    let coded = numbers.filter_map(|number| Some((number, tables::link_claim_row(&codes.code(number)?))));
    let (numbers, claims): (Vec<u64>, Vec<_>) = coded.unzip();
    let claims = store.get_many(&claims).await?;
    Ok(numbers.into_iter().zip(claims).filter(|(_, claim)| claim.is_none()).map(|(number, _)| number).collect())
}

/// Whether the code of `number` may be given out by whoever has leased it, if it was not claimed before.
///
/// # Errors
/// When the engine fails.
pub async fn is_open(store: &Store, number: u64) -> Result<bool> {
    Ok(store.get(&tables::link_stretch_row(of(number))).await?.is_some())
}

#[cfg(test)]
#[path = "stretch_tests.rs"]
mod tests;
