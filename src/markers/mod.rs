//! Read markers: up to where a person has seen a list, written and told to their devices in one call.

pub mod stream;

use fanfare_engines::Batch;
use fanfare_protocol::{Id, Lane, ReadMarker};
use smallvec::SmallVec;

use crate::base::error::Result;
use crate::data::rows::MarkerRow;
use crate::data::tables::{self, Marker};
use crate::log::core::{Core, Owners as _};
use crate::realtime::{Audience, Deliver, Frame, Publisher};

/// Read markers; clones share them.
#[derive(Clone)]
pub struct Markers {
    core: Core,
    publisher: Publisher,
}

async fn stored(core: &Core, person: Id, which: Marker) -> Result<MarkerRow> {
    Ok(core.store.get_as(&tables::marker_row(person, which), MarkerRow::from_bytes).await?.unwrap_or_default())
}

/// Moves a marker forward, or back to where it may stand at most; answers where it stands.
async fn move_to(core: &Core, person: Id, which: Marker, wanted: Id) -> Result<Id> {
    let _held = core.locks.hold(&[("marker", person.0, which as u64)]).await?;
    let row = stored(core, person, which).await?;
    let stands = if row.last_read > core.log.newest() { core.opened } else { row.last_read };
    let wanted = if wanted > core.log.settled() { wanted.min(core.log.mint().await?) } else { wanted };
    let moved = row.moved_to(stands.max(wanted));
    if moved.last_read != row.last_read {
        let _writing = core.writing(person).await?;
        let mut batch = Batch::default();
        batch.put_versioned(tables::marker_row(person, which), moved.to_bytes(), moved.version);
        core.store.write(batch).await?;
    }
    Ok(moved.last_read)
}

impl Markers {
    /// The service; `publisher` reaches the devices.
    #[must_use]
    pub fn new(core: Core, publisher: Publisher) -> Self {
        Self { core, publisher }
    }

    /// The id at which a marker of `person` stands; 0 before the first move.
    ///
    /// One above every id that the server has given out was written before it started, by a clock that was ahead: it
    /// stands where the records ended at the start, or what came since would count as read. That is stored, so that the
    /// next start knows it too, if storage takes it: reading needs no writes.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn last_read(&self, person: Id, which: Marker) -> Result<Id> {
        let row = stored(&self.core, person, which).await?;
        if row.last_read <= self.core.log.newest() {
            return Ok(row.last_read);
        }
        let moved = self.core.log.unless_away(move_to(&self.core, person, which, Id(0))).await;
        match moved.flatten() {
            Err(error) if error.is_of_storage() || error.is_of_room() => Ok(self.core.opened),
            stands => stands,
        }
    }

    /// Moves a marker forward, and tells the person's devices where it stands; a smaller id changes nothing. An id
    /// beyond any that the server has given out is taken as the newest one, or what comes later would count as read.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn advance(&self, person: Id, which: Marker, last_read: Id) -> Result<()> {
        let last_read_id = move_to(&self.core, person, which, last_read).await?;
        let kind = stream::type_of(which);
        let frame = Frame::passing(kind, Lane::Normal, self.core.clock.now_ms(), &ReadMarker { last_read_id });
        self.publisher.tell_elsewhere(&[person], &frame);
        let audience = Audience::People(SmallVec::from_buf([person]));
        self.publisher.send(Deliver::frame(audience, frame)).await;
        Ok(())
    }
}
