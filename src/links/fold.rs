//! Rows of short links, made of records. Pure.
//!
//! State is the number of a person's links, which bounds them.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_engines::Batch;
use fanfare_protocol::Id;
use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::data::rows::{LinkRow, in_row, link_count_in, link_count_value, to_json};
use crate::data::tables;
use crate::log::events::{Event, Record};
use crate::log::fold::{Fold, Keys, State};
use crate::log::outcome::{Outcome, OutcomePart};

/// Short links.
pub struct LinkFold;

/// Number of the owner's links after a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct LinkCount(u64);

/// Owner of the link that a record makes or ends, and whether it makes it.
fn counted(event: &Event) -> Option<(Id, bool)> {
    match event {
        Event::LinkCreated { link, .. } => Some((link.owner, true)),
        Event::LinkDeleted { owner, .. } => Some((*owner, false)),
        _ => None,
    }
}

impl Fold for LinkFold {
    fn part(&self) -> Option<&'static str> {
        Some("lk")
    }

    fn keys(&self, record: &Record, keys: &mut Keys) {
        if let Some((owner, _)) = counted(&record.event) {
            keys.own(tables::link_count_row(owner));
        }
    }

    fn fold(&self, record: &Record, state: &State, outcome: &mut Outcome) -> Result<()> {
        let Some((owner, is_made)) = counted(&record.event) else { return Ok(()) };
        let row = tables::link_count_row(owner);
        let before = in_row(&row, state.get(&row).cloned(), link_count_in)?.unwrap_or(0);
        let after = if is_made { before + 1 } else { before.saturating_sub(1) };
        outcome.add("lk", Arc::new(LinkCount(after)));
        Ok(())
    }

    fn read(&self, record: &Record, part: &str) -> Result<Arc<dyn OutcomePart>> {
        let count: LinkCount = serde_json::from_str(part)
            .map_err(|error| Error::Internal(format!("record {}: number of links: {error}", record.id)))?;
        Ok(Arc::new(count))
    }

    fn rows(&self, record: &Record, outcome: &Outcome, batch: &mut Batch) -> Result<()> {
        let version = record.id.0;
        match &record.event {
            Event::LinkCreated { code, link, number, .. } => {
                let row = LinkRow { id: record.id, ..link.clone() };
                batch.put_versioned(tables::link_row(code), to_json(&row)?, version);
                batch.put_versioned(tables::link_of_row(link.owner, record.id), code.clone(), version);
                if let Some(number) = number {
                    batch.put_versioned(tables::link_alias_row(*number), Bytes::new(), version);
                }
            }
            Event::LinkChanged { code, link } => {
                batch.put_versioned(tables::link_row(code), to_json(link)?, version);
            }
            Event::LinkDeleted { code, link, owner } => {
                batch.put_versioned(tables::link_row(code), to_json(&LinkRow::gone(*link, *owner))?, version);
                batch.delete_versioned(tables::link_of_row(*owner, *link), version);
            }
            _ => return Ok(()),
        }
        if let (Some((owner, _)), Some(LinkCount(count))) = (counted(&record.event), outcome.part()) {
            batch.put_versioned(tables::link_count_row(owner), link_count_value(*count), version);
        }
        Ok(())
    }
}
