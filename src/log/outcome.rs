//! Outcomes: what folding a record gave. The record's line holds it, rows are made of both, and views hear both.
//!
//! The log's own part are counters. Everything else is a product's: a part under a short name, which only that product
//! reads. A part says what the event does not say already: `"n":["TwwCAA"]` is a whole notification.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use serde::Serialize;
use smallvec::SmallVec;

use crate::base::error::{Error, Result};
use crate::data::rows::Counters;
use crate::data::uncounted::Of;

/// Outcome of a record.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Counters that the record changed, as they are after it.
    pub counters: SmallVec<[Counted; 2]>,
    parts: SmallVec<[(&'static str, Arc<dyn OutcomePart>); 1]>,
}

/// Counters of a person or a post after a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Owner of the counters.
    pub of: Of,
    /// After the record.
    pub counters: Counters,
}

/// Part of a product in an outcome. Bytes without behaviour, as those of records.
pub trait OutcomePart: Any + Debug + Send + Sync {
    /// Adds the JSON of the part, as short as it can be.
    ///
    /// # Errors
    /// When it does not encode.
    fn write(&self, json: &mut Vec<u8>) -> Result<()>;
}

impl<T: Serialize + Any + Debug + Send + Sync> OutcomePart for T {
    fn write(&self, json: &mut Vec<u8>) -> Result<()> {
        let written = serde_json::to_writer(json, self);
        written.map_err(|error| Error::Internal(format!("a part of an outcome does not encode: {error}")))
    }
}

impl Outcome {
    /// Adds a product's part, of which there is one.
    pub fn add(&mut self, name: &'static str, part: Arc<dyn OutcomePart>) {
        self.parts.push((name, part));
    }

    /// The part of that type, if the record has one.
    #[must_use]
    pub fn part<T: OutcomePart>(&self) -> Option<&T> {
        self.parts.iter().find_map(|(_, part)| {
            let part: &dyn Any = &**part;
            part.downcast_ref()
        })
    }

    /// The products' parts, each with its name.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &dyn OutcomePart)> {
        self.parts.iter().map(|(name, part)| (*name, &**part))
    }
}
