//! Number of what the tables hold, made once: nodes that hear each other know by it that they stand over the same.

use bytes::Bytes;
use fanfare_engines::{Engines, RowKey, Unique};
use fanfare_protocol::Id;

use super::rows::in_row;
use super::tables;
use crate::base::error::Result;
use crate::base::token::attempt;

fn row() -> RowKey {
    RowKey::new(tables::META, tables::ONE, Bytes::from_static(b"whole"))
}

/// The number, which is made where there is none.
///
/// # Errors
/// When the engine fails, or the row is damaged.
pub async fn number(engines: &Engines) -> Result<Id> {
    let made = Id(attempt()?);
    Ok(match engines.tables.insert_unique(row(), tables::partition(made), made.0).await? {
        Unique::Mine => made,
        Unique::Taken(stored) => in_row(&row(), Some(stored), Id::from_bytes)?.unwrap_or(made),
    })
}
