//! Read markers: how far a person has read of a list. One call writes the marker and tells the person's devices.

use fanfare_engines::Batch;
use fanfare_protocol::Id;

use crate::base::error::Result;
use crate::data::tables::{self, Marker};
use crate::log::core::{Core, Owners as _};
use crate::realtime::Realtime;

/// Read markers of everybody.
#[derive(Clone)]
pub struct Markers {
    core: Core,
    realtime: Realtime,
}

impl Markers {
    /// Over the rows; `realtime` reaches the devices.
    #[must_use]
    pub fn new(core: Core, realtime: Realtime) -> Self {
        Self { core, realtime }
    }

    /// The last id that `person` has read of a list; `Id(0)` when nothing.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn last_read(&self, person: Id, which: Marker) -> Result<Id> {
        Ok(self.core.store.get_id(&tables::marker_row(person, which)).await?.unwrap_or_default())
    }

    /// Moves a marker forward and tells the person's devices where it stands; a smaller id than before changes nothing.
    ///
    /// # Errors
    /// 401 when the account was deleted.
    pub async fn advance(&self, person: Id, which: Marker, last_read: Id) -> Result<()> {
        write(&self.core, person, which, last_read).await?;
        self.realtime.marker_moved(person, which).await
    }
}

/// Writes a marker; a smaller id changes nothing, because the version is the id. An id beyond any that the server has given
/// out is taken as the newest one, or what comes later would count as read.
///
/// # Errors
/// 401 when the account was deleted.
pub async fn write(core: &Core, person: Id, which: Marker, last_read: Id) -> Result<()> {
    let newest = core.sequencer.mint();
    let last_read = last_read.min(newest);
    if last_read == Id(0) {
        return Ok(());
    }
    let _writing = core.writing(person).await?;
    let mut batch = Batch::default();
    batch.put_versioned(tables::marker_row(person, which), tables::partition(last_read), last_read.0);
    Ok(core.store.write(batch).await?)
}
