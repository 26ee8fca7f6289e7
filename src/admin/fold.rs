//! Rows of what operators do, made of records: suspensions, and the line in the audit that each act has. Pure.

use bytes::Bytes;
use fanfare_engines::Batch;

use crate::base::error::Result;
use crate::base::id::hour_of;
use crate::base::limits;
use crate::data::rows::{SuspensionRow, to_json};
use crate::data::tables;
use crate::log::events::{Event, Record};
use crate::log::fold::Fold;
use crate::log::outcome::Outcome;

/// Suspensions and the audit.
pub struct OperatorFold;

impl Fold for OperatorFold {
    fn rows(&self, record: &Record, _outcome: &Outcome, batch: &mut Batch) -> Result<()> {
        let (id, version) = (record.id, record.id.0);
        if let Some(act) = &record.audit {
            let row = tables::audit_row(id);
            batch.put(tables::expiry_row(hour_of(id) + limits::AUDIT_DAYS * 24 + 2, &row), Bytes::new());
            batch.put_versioned(row, to_json(act)?, version);
        }
        match &record.event {
            Event::Suspended { user, reason, until_ms } => {
                let row = tables::suspension_row(*user);
                if let Some(until_ms) = until_ms {
                    batch.put(tables::expiry_row((until_ms / 3_600_000) as u32 + 2, &row), Bytes::new());
                }
                let suspension = SuspensionRow { reason: reason.clone(), since: id, until_ms: *until_ms };
                batch.put_versioned(row, to_json(&suspension)?, version);
            }
            Event::Unsuspended { user } => batch.delete_versioned(tables::suspension_row(*user), version),
            _ => {}
        }
        Ok(())
    }
}
