//! Lines of chat's log: a record and its outcome in JSON, with the version of their form. Pure.
//!
//! What this version does not know is an error, wherever it stands: what follows a record counts on it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::outcome::ChatOutcome;
use super::record::ChatRecord;
use crate::base::error::{Error, Result};
use crate::data::rows::from_json;

/// Version of lines that this program writes, and the highest that it reads.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
struct Written<'a> {
    v: u32,
    record: &'a ChatRecord,
    out: &'a ChatOutcome,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    #[serde(rename = "v")]
    _v: u32,
    record: ChatRecord,
    out: ChatOutcome,
}

/// The part of a line that every version has.
#[derive(Deserialize)]
struct Outline {
    v: u32,
}

/// Line of a record and its outcome.
///
/// # Errors
/// When it does not encode.
pub fn encode(record: &ChatRecord, outcome: &ChatOutcome) -> Result<Bytes> {
    serde_json::to_vec(&Written { v: VERSION, record, out: outcome })
        .map(Bytes::from)
        .map_err(|error| Error::Internal(format!("a record of chat does not encode: {error}")))
}

/// Record and outcome of a line.
///
/// # Errors
/// When it was written by a later version, or is none.
pub fn decode(line: &[u8]) -> Result<(ChatRecord, ChatOutcome)> {
    let Outline { v } = from_json(line)?;
    if v > VERSION {
        return Err(Error::Internal(format!(
            "chat's log holds a record of version {v}, and this program knows versions up to {VERSION}: start the \
             version that wrote it"
        )));
    }
    let Read { record, out, .. } = from_json(line)?;
    Ok((record, out))
}
