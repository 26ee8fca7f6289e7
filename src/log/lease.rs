//! Lease of the log: the signs that its owners are alive, one a partition, in state that does not last.
//!
//! An import claims every partition with ids of other times, and a claim ends what a living owner has under way. So an
//! import looks for the signs first, and is refused where one of them is; two imports are in each other's way like that
//! too. A clean end takes the sign away, a kill lets it lapse. An engine of one process begins without one: there the
//! lock of the folder keeps others out.
//!
//! This is against mistakes. Who owns the log is decided by its claims alone, and state that may be lost can miss an
//! owner until its next sign: then the newer claim fences the older one, as ever.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_engines::{EngineError, Engines, Ephemeral, Partition};

use crate::base::error::{Error, Result};
use crate::base::limits::{LEASE_RENEW_S, LEASE_S};
use crate::base::token::attempt;

const LEASE: Duration = Duration::from_secs(LEASE_S);

/// Key of the sign of a partition's owner.
fn key(partition: Partition) -> Bytes {
    format!("log/owner/{}", partition.0).into()
}

/// Signs of whoever owns some partitions. Clones are the same.
#[derive(Clone)]
pub struct OwnerLease {
    ephemeral: Arc<dyn Ephemeral>,
    /// Keys of the signs, one for each partition that is owned.
    keys: Arc<[Bytes]>,
    /// Name of the node, and a number that no other owner has, not even on the same node.
    value: Bytes,
}

impl OwnerLease {
    /// Shows that the owner of every partition on the node called `node` is alive.
    ///
    /// # Errors
    /// [`Error::Setting`] for an import while another owner is alive, by its name; when the signs cannot be looked for.
    pub async fn of_all(engines: &Engines, node: &str, is_import: bool) -> Result<Self> {
        let partitions = (0..engines.journal.partitions()).map(Partition);
        Self::take(&engines.ephemeral, node, partitions, is_import).await
    }

    /// Shows that an owner of `partitions` on the node called `node` is alive; an import owns all that there are.
    ///
    /// # Errors
    /// [`Error::Setting`] for an import while another owner of one of them is alive, by its name; when the signs cannot
    /// be looked for.
    async fn take(
        ephemeral: &Arc<dyn Ephemeral>,
        node: &str,
        partitions: impl IntoIterator<Item = Partition>,
        is_import: bool,
    ) -> Result<Self> {
        let value = Bytes::from(format!("{node} {:x}", attempt()?));
        let keys = partitions.into_iter().map(key).collect();
        let lease = Self { ephemeral: Arc::clone(ephemeral), keys, value };
        for (taken, key) in lease.keys.iter().enumerate() {
            if is_import {
                if let Err(error) = lease.take_first(key).await {
                    lease.end_of(&lease.keys[..=taken]).await;
                    return Err(error);
                }
            } else if let Err(error) = lease.ephemeral.put(key, lease.value.clone(), LEASE).await {
                tracing::warn!(%error, "no import can see that this server runs, until its next sign of life");
            }
        }
        Ok(lease)
    }

    /// Shows a sign where nobody else shows one.
    async fn take_first(&self, key: &[u8]) -> Result<()> {
        if self.ephemeral.put_if_absent(key, self.value.clone(), LEASE).await? {
            return Ok(());
        }
        let holder = self.ephemeral.get(key).await?.unwrap_or_default();
        let holder = String::from_utf8_lossy(&holder);
        let node = holder.split(' ').next().unwrap_or_default();
        Err(Error::Setting(format!(
            "{node} is alive on this data, and an import claims everything: stop that server, or wait for that import, and \
             start again; one that was killed counts as alive for {LEASE_S} s"
        )))
    }

    /// Shows the signs again and again. Without end.
    pub async fn keep(self) {
        loop {
            tokio::time::sleep(Duration::from_secs(LEASE_RENEW_S)).await;
            for key in &*self.keys {
                if let Err(error) = self.renew(key).await {
                    tracing::debug!(%error, "a sign of life was not renewed");
                }
            }
        }
    }

    async fn renew(&self, key: &[u8]) -> Result<(), EngineError> {
        if !self.ephemeral.renew(key, &self.value, LEASE).await? {
            // It was lost; or another owner shows its own, which is as good a sign.
            self.ephemeral.put_if_absent(key, self.value.clone(), LEASE).await?;
        }
        Ok(())
    }

    /// Takes the signs away.
    pub async fn end(&self) {
        self.end_of(&self.keys).await;
    }

    async fn end_of(&self, keys: &[Bytes]) {
        for key in keys {
            let is_shown = self.ephemeral.renew(key, &self.value, LEASE).await;
            // Nobody takes its place in between: those who look find it.
            if matches!(is_shown, Ok(true))
                && let Err(error) = self.ephemeral.take(key).await
            {
                tracing::debug!(%error, "a sign of life lapses by itself");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use fanfare_engines::hostile::{self, Faults};
    use fanfare_engines::memory;

    use super::*;

    fn ephemeral() -> Arc<dyn Ephemeral> {
        memory::open(1).unwrap().ephemeral
    }

    /// Partitions of the log.
    const ALL: u16 = 3;

    async fn server_of(ephemeral: &Arc<dyn Ephemeral>, partition: u16) -> OwnerLease {
        OwnerLease::take(ephemeral, "node-7", [Partition(partition)], false).await.unwrap()
    }

    async fn server(ephemeral: &Arc<dyn Ephemeral>) -> OwnerLease {
        server_of(ephemeral, 0).await
    }

    async fn import(ephemeral: &Arc<dyn Ephemeral>) -> Result<OwnerLease, String> {
        let all = (0..ALL).map(Partition);
        OwnerLease::take(ephemeral, "node-7", all, true).await.map_err(|error| error.to_string())
    }

    /// An import looked after the owner of the first partition alone.
    #[tokio::test]
    async fn an_import_is_refused_whichever_partition_somebody_lives_on_and_leaves_no_sign_then() {
        for partition in 0..ALL {
            let ephemeral = ephemeral();
            let server = server_of(&ephemeral, partition).await;
            assert!(import(&ephemeral).await.is_err(), "partition {partition}");
            for other in (0..ALL).filter(|other| *other != partition) {
                assert_eq!(ephemeral.get(&key(Partition(other))).await.unwrap(), None, "partition {partition}");
            }
            server.end().await;
            let import = import(&ephemeral).await.unwrap();
            assert!(self::import(&ephemeral).await.is_err());
            import.end().await;
            assert!(self::import(&ephemeral).await.is_ok(), "all of its signs are gone");
        }
    }

    #[tokio::test]
    async fn an_import_is_refused_while_a_server_or_another_import_lives() {
        let ephemeral = ephemeral();
        let server = server(&ephemeral).await;
        let why = import(&ephemeral).await.err().unwrap();
        assert!(why.starts_with("node-7 is alive on this data") && why.contains("stop that server"), "{why}");
        server.end().await;
        let first = import(&ephemeral).await.unwrap();
        assert!(import(&ephemeral).await.is_err());
        first.end().await;
        assert!(import(&ephemeral).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_sign_lapses_after_a_kill_and_not_in_a_long_life() {
        let ephemeral = ephemeral();
        let server = server(&ephemeral).await;
        let keeping = tokio::spawn(server.keep());
        for _ in 0..20 {
            tokio::time::advance(LEASE / 4).await;
            tokio::task::yield_now().await;
            assert!(import(&ephemeral).await.is_err());
        }
        keeping.abort();
        tokio::time::advance(LEASE).await;
        assert!(import(&ephemeral).await.is_ok());
    }

    #[tokio::test]
    async fn a_lost_sign_comes_back_and_an_older_owner_leaves_that_of_a_newer_one() {
        let ephemeral = ephemeral();
        let (older, newer) = (server(&ephemeral).await, server(&ephemeral).await);
        older.renew(&key(Partition(0))).await.unwrap();
        older.end().await;
        assert!(import(&ephemeral).await.is_err(), "the newer one lives");
        ephemeral.take(&key(Partition(0))).await.unwrap();
        newer.renew(&key(Partition(0))).await.unwrap();
        assert!(import(&ephemeral).await.is_err(), "it was only lost");
        newer.end().await;
        assert!(import(&ephemeral).await.is_ok());
    }

    #[tokio::test]
    async fn of_owners_over_an_engine_that_loses_values_each_is_seen_by_its_next_sign() {
        let engines = hostile::open(5, 1, Faults { lost_values: 50, ..Faults::NONE }).unwrap();
        let server = server(&engines.ephemeral).await;
        let mut refused = 0;
        for _ in 0..100 {
            server.renew(&key(Partition(0))).await.unwrap();
            match import(&engines.ephemeral).await {
                Err(_) => refused += 1,
                Ok(slipped) => slipped.end().await,
            }
        }
        assert!(refused > 10, "{refused}");
        server.end().await;
    }
}
