//! An engine in memory that keeps the ports' promises and nothing else, for tests of the code above.
//!
//! What a good engine happens to do better is taken away: a batch is torn between its partitions, an error hides a
//! write that happened in full, in part or will happen later (after newer writes: only versions protect), the journal
//! takes whatever comes from whomever, twice or late, so that only admission tells what counts, offsets have gaps,
//! checkpoints are lost in a crash. What was acknowledged is always there. All of it follows from a seed, as long as
//! the calls come in the same order.

mod engine;
mod lossy;
mod world;

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use self::engine::HostileEngine;
use self::lossy::{LossyBus, LossyEphemeral, LossyObjects};
use self::world::World;
use crate::families::StoredFamily;
use crate::ports::{EngineError, Page, Partition, Position, RowKey};
use crate::{Engines, Families, NewFamily};

/// Frequency of faults, in percent of the calls (0 to 100).
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    /// Calls that are answered with [`EngineError::Unavailable`] and do nothing.
    pub unavailable: u8,
    /// Writes that are answered with [`EngineError::Unknown`] and happen in full, in part, later or not at all.
    pub unknown: u8,
    /// Points within a call at which other calls may come between.
    pub interleaved: u8,
    /// Appends after which the journal leaves out offsets.
    pub offset_gaps: u8,
    /// Appends that come twice: at once, or again later.
    pub doubled: u8,
    /// Journal calls that happen in full and are answered with [`EngineError::Unknown`].
    pub lost_replies: u8,
    /// Points before an append, before its rows and before the answer at which the caller sleeps while others go on.
    pub sleeps: u8,
    /// Messages of the bus that are lost.
    pub lost_messages: u8,
    /// Calls of the ephemeral store before which its value is lost.
    pub lost_values: u8,
}

impl Faults {
    /// Nothing goes wrong, but nothing is stronger than promised either.
    pub const NONE: Self = Self {
        unavailable: 0,
        unknown: 0,
        interleaved: 50,
        offset_gaps: 0,
        doubled: 0,
        lost_replies: 0,
        sleeps: 0,
        lost_messages: 0,
        lost_values: 0,
    };
    /// Everything goes wrong now and then.
    pub const SOME: Self = Self {
        unavailable: 5,
        unknown: 10,
        interleaved: 50,
        offset_gaps: 10,
        doubled: 10,
        lost_replies: 5,
        sleeps: 5,
        lost_messages: 5,
        lost_values: 5,
    };
}

/// Handle of a hostile world, which outlives crashes.
#[derive(Clone)]
pub struct Hostile {
    world: Arc<Mutex<World>>,
}

impl Hostile {
    /// Makes an empty world with `partitions` journal partitions (at least 1), whose faults follow from `seed`.
    ///
    /// # Errors
    /// [`EngineError::Limit`] without partitions.
    pub fn new(seed: u64, partitions: u16, faults: Faults) -> Result<Self, EngineError> {
        Self::with_families(seed, &[NewFamily::of_all(Some(partitions))], faults)
    }

    /// Makes an empty world with `families`, as [`new`](Self::new) does.
    ///
    /// # Errors
    /// [`EngineError::Limit`] when they do not go together.
    pub fn with_families(seed: u64, families: &[NewFamily], faults: Faults) -> Result<Self, EngineError> {
        let families = Families::settle(&[], families)?;
        Ok(Self { world: Arc::new(Mutex::new(World::new(seed, families, faults))) })
    }

    /// The engines of the process that runs now. Ephemeral state and the bus begin empty.
    #[must_use]
    pub fn engines(&self) -> Engines {
        let engine = Arc::new(HostileEngine::new(self.world.clone()));
        let families = self.world.lock().families.clone();
        Engines {
            families,
            tables: engine.clone(),
            journal: engine,
            objects: Arc::new(LossyObjects::new(self.world.clone())),
            bus: Arc::new(LossyBus::new(self.world.clone())),
            ephemeral: Arc::new(LossyEphemeral::new(self.world.clone())),
            scans: Arc::default(),
            room: Arc::new(crate::DiskRoom::endless()),
        }
    }

    /// Ends the process that runs now: what was not acknowledged happens, happens later or never; engines that were
    /// handed out answer [`EngineError::Closed`] from now on. [`engines`](Self::engines) is the restart.
    pub fn crash(&self) {
        self.world.lock().crash();
    }

    /// Changes what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.world.lock().faults = faults;
    }

    /// Sets the clock by which the journal stamps what is appended, in Unix milliseconds; until then it reads the
    /// moment off each id.
    pub fn set_clock(&self, unix_ms: u64) {
        self.world.lock().clock_ms = Some(unix_ms);
    }

    /// A row as it stands, without any fault.
    #[must_use]
    pub fn row(&self, key: &RowKey) -> Option<Bytes> {
        self.world.lock().store.get(key)
    }

    /// All that counts of a partition's log, without any fault; the position behind everything that lies there.
    #[must_use]
    pub fn log(&self, partition: Partition) -> Page {
        let world = self.world.lock();
        let (mut page, end) = (Page { records: Vec::new(), next: Position::START }, world.store.end(partition));
        while page.next.offset < end.offset {
            let found = world.store.read(partition, page.next, usize::MAX);
            page.records.extend(found.records);
            if found.next.offset == page.next.offset {
                break;
            }
            page.next = found.next;
        }
        Page { next: end, ..page }
    }

    /// Position behind everything that lies in a partition's log, without any fault.
    #[must_use]
    pub fn end(&self, partition: Partition) -> Position {
        self.world.lock().store.end(partition)
    }

    /// Opens it with `families`, as a new start does, of which some may be new.
    ///
    /// # Errors
    /// [`EngineError::Limit`] when they do not go together with those that are there.
    pub fn grow(&self, families: &[NewFamily]) -> Result<(), EngineError> {
        let mut world = self.world.lock();
        let stored =
            |one: &crate::FamilyPlace| StoredFamily { name: one.name.to_owned(), first: one.first.0, count: one.count };
        let stored: Vec<_> = world.families.all().iter().map(stored).collect();
        world.families = Families::settle(&stored, families)?;
        let partitions = world.families.partitions();
        world.store.grow(partitions);
        Ok(())
    }

    /// Lets everything arrive that is still to arrive: the quiet after which views must agree with rows.
    pub fn settle(&self) {
        self.world.lock().settle();
    }
}

/// Opens a hostile world and forgets its handle: no crashes, faults by `seed`.
///
/// # Errors
/// [`EngineError::Limit`] without partitions.
pub fn open(seed: u64, partitions: u16, faults: Faults) -> Result<Engines, EngineError> {
    Ok(Hostile::new(seed, partitions, faults)?.engines())
}
