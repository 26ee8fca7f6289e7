//! Records as they are read from the journal. One that this version cannot read ends the partition: what follows it
//! counts on it.

use fanfare_engines::{EngineError, JournalRecord, Partition};
use fanfare_protocol::Id;
use serde::Deserialize;

use crate::base::error::{Error, Result};
use crate::log::events::Record;
use crate::log::fold::Folds;
use crate::log::line;
use crate::log::outcome::Outcome;

/// Parts of a record that are there whatever its kind.
#[derive(Deserialize)]
struct Outline {
    id: Id,
    #[serde(rename = "type")]
    kind: String,
}

/// The record at a place of the journal, and its outcome.
///
/// # Errors
/// [`EngineError::Corrupt`] with the offset: an unknown kind, fields or parts of the outcome that this version does not
/// understand, no outcome, or bytes that are no record.
pub(super) fn read(partition: Partition, one: &JournalRecord, folds: &Folds) -> Result<(Record, Outcome)> {
    line::decode(&one.payload, folds).and_then(with_outcome).map_err(|cause| {
        let what = match serde_json::from_slice::<Outline>(&one.payload) {
            Ok(Outline { kind, .. }) => format!(
                "a record of the kind {:?} that this version cannot read ({cause}): start the version that wrote it",
                kind.chars().take(64).collect::<String>()
            ),
            Err(_) => format!("damaged ({cause}): restore the folder from a backup"),
        };
        let Partition(partition) = partition;
        Error::Engine(EngineError::Corrupt(format!("journal partition {partition}, offset {}: {what}", one.offset.0)))
    })
}

fn with_outcome((record, outcome): (Record, Option<Outcome>)) -> Result<(Record, Outcome)> {
    let outcome = outcome.ok_or_else(|| Error::Internal("it is of format 1, among those of format 2".to_owned()))?;
    Ok((record, outcome))
}

/// Id of a record of which nothing else may be readable.
pub(super) fn id(one: &JournalRecord) -> Option<Id> {
    one.id.map(Id).or_else(|| serde_json::from_slice::<Outline>(&one.payload).ok().map(|outline| outline.id))
}

#[cfg(test)]
mod tests {
    use fanfare_engines::Offset;

    use super::*;

    fn refused(payload: &str) -> String {
        let one = JournalRecord { offset: Offset(7), id: None, payload: payload.to_owned().into(), appended_ms: 0 };
        match read(Partition(3), &one, &Folds::default()) {
            Err(Error::Engine(EngineError::Corrupt(cause))) => cause,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_place() {
        let unknown = refused(r#"{"id":"9","type":"teleported","user":"1"}"#);
        assert!(unknown.starts_with("journal partition 3, offset 7: ") && unknown.contains("teleported"), "{unknown}");
        let newer = refused(r#"{"id":"9","type":"unblocked","blocker":"1"}"#);
        assert!(newer.contains("start the version that wrote it") && newer.contains("blocked"), "{newer}");
        for damaged in ["", "\u{0}\u{0}", r#"{"id":"9","ty"#, "[]"] {
            assert!(refused(damaged).contains("damaged"), "{damaged:?}");
        }
        let payload = r#"{"id":"9","type":"teleported"}"#.into();
        let one = JournalRecord { offset: Offset(7), id: None, payload, appended_ms: 0 };
        assert_eq!(id(&one), Some(Id(9)));
        assert_eq!(id(&JournalRecord { id: Some(8), ..one }), Some(Id(8)));
    }
}
