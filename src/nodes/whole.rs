//! Whole: nodes that hear each other stand over the same tables and log. One that hears the others and has a folder of
//! its own would answer what nobody else knows, and is refused.
//!
//! The tables have a number, made once; who is there says it in the ephemeral state, where it lives a while longer than
//! the last of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_engines::{Engines, Ephemeral};
use fanfare_protocol::Id;

use crate::base::error::{Error, Result};
use crate::base::limits::nodes::{ROUTE_EVERY_MS, ROUTE_MS};
use crate::data::tables;
use crate::data::whole::number;

const KEY: &[u8] = b"number of the whole";

/// The number of what a node stands over.
pub struct Whole {
    ephemeral: Arc<dyn Ephemeral>,
    number: Bytes,
}

impl Whole {
    /// Of a node over `engines`.
    ///
    /// # Errors
    /// When another node is there that stands over other tables, or the engines fail.
    pub async fn join(engines: &Engines) -> Result<Self> {
        let number = number(engines).await?;
        let whole = Self { ephemeral: Arc::clone(&engines.ephemeral), number: tables::partition(number) };
        match whole.say().await? {
            None => Ok(whole),
            Some(other) => {
                let other = Id::from_bytes(&other).unwrap_or_default();
                Err(Error::Setting(format!(
                    "the nodes that this one hears stand over other data (number {other}; here it is {number}): nodes of \
                     one cluster share tables and log, or have a bus of their own"
                )))
            }
        }
    }

    /// Says the number; answers another one that is said.
    async fn say(&self) -> Result<Option<Bytes>> {
        let ttl = Duration::from_millis(ROUTE_MS);
        if self.ephemeral.put_if_absent(KEY, self.number.clone(), ttl).await? {
            return Ok(None);
        }
        if self.ephemeral.renew(KEY, &self.number, ttl).await? {
            return Ok(None);
        }
        Ok(self.ephemeral.get(KEY).await?.filter(|said| *said != self.number))
    }

    /// Goes on saying it. Without end.
    pub async fn stay(self) {
        loop {
            tokio::time::sleep(Duration::from_millis(ROUTE_EVERY_MS)).await;
            match self.say().await {
                Ok(None) => {}
                Ok(Some(_)) => tracing::error!("nodes that this one hears stand over other data: end one of the two"),
                Err(error) => tracing::debug!(%error, "others do not hear what this node stands over"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use fanfare_engines::memory;

    use super::*;

    #[tokio::test]
    async fn nodes_over_other_data_are_refused_while_the_others_are_there() {
        let (one, other) = (memory::open(1).unwrap(), memory::open(1).unwrap());
        let stranger = Engines { bus: Arc::clone(&one.bus), ephemeral: Arc::clone(&one.ephemeral), ..other.clone() };
        let first = Whole::join(&one).await.unwrap();
        assert_eq!(Whole::join(&one).await.unwrap().number, first.number, "the same after a start");
        let Err(refused) = Whole::join(&stranger).await else { panic!("it joins") };
        let refused = refused.to_string();
        let number = Id::from_bytes(&first.number).unwrap().to_string();
        assert!(refused.contains("share tables and log") && refused.contains(&number), "{refused}");
        let apart = Whole::join(&other).await.unwrap();
        assert_ne!(apart.number, first.number, "with a bus of its own it is another whole");
    }
}
