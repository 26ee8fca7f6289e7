//! Read markers: up to where a person has seen a list, written and told to their devices in one call.

pub mod stream;

use fanfare_engines::Batch;
use fanfare_protocol::{Id, Lane, ReadMarker};
use smallvec::SmallVec;

use crate::base::error::Result;
use crate::data::tables::{self, Marker};
use crate::log::core::{Core, Owners as _};
use crate::realtime::{Audience, Deliver, Frame, Publisher};

/// Read markers; clones share them.
#[derive(Clone)]
pub struct Markers {
    core: Core,
    publisher: Publisher,
}

impl Markers {
    /// The service; `publisher` reaches the devices.
    #[must_use]
    pub fn new(core: Core, publisher: Publisher) -> Self {
        Self { core, publisher }
    }

    /// The id at which a marker of `person` stands; 0 before the first move.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn last_read(&self, person: Id, which: Marker) -> Result<Id> {
        Ok(self.core.store.get_id(&tables::marker_row(person, which)).await?.unwrap_or_default())
    }

    /// Moves a marker forward, and tells the person's devices where it stands; a smaller id changes nothing, because
    /// the version is the id. An id beyond any that the server has given out is taken as the newest one, or what comes
    /// later would count as read.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn advance(&self, person: Id, which: Marker, last_read: Id) -> Result<()> {
        let newest = self.core.log.mint().await?;
        let last_read = last_read.min(newest);
        if last_read != Id(0) {
            let _writing = self.core.writing(person).await?;
            let mut batch = Batch::default();
            batch.put_versioned(tables::marker_row(person, which), tables::partition(last_read), last_read.0);
            self.core.store.write(batch).await?;
        }
        let last_read_id = self.last_read(person, which).await?;
        let kind = stream::type_of(which);
        let frame = Frame::passing(kind, Lane::Normal, self.core.clock.now_ms(), &ReadMarker { last_read_id });
        let audience = Audience::People(SmallVec::from_buf([person]));
        self.publisher.send(Deliver::frame(audience, frame)).await;
        Ok(())
    }
}
