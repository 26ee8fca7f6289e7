//! Lease of the log: the sign that its owner is alive, in state that does not last.
//!
//! An import claims everything with ids of other times, and a claim ends what a living owner has under way. So an
//! import looks for the sign first, and is refused where it is; two imports are in each other's way like that too. A
//! clean end takes the sign away, a kill lets it lapse. An engine of one process begins without one: there the lock of
//! the folder keeps others out.
//!
//! This is against mistakes. Who owns the log is decided by its claims alone, and state that may be lost can miss an
//! owner until its next sign: then the newer claim fences the older one, as ever.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_engines::{EngineError, Ephemeral};

use crate::base::error::{Error, Result};
use crate::base::limits::{LEASE_RENEW_S, LEASE_S};
use crate::base::token::attempt;

/// Key of the sign, for the one partition that a node has.
const KEY: &[u8] = b"log/owner/0";
const LEASE: Duration = Duration::from_secs(LEASE_S);

/// Sign of one owner. Clones are the same.
#[derive(Clone)]
pub struct OwnerLease {
    ephemeral: Arc<dyn Ephemeral>,
    /// Name of the node, and a number that no other owner has, not even on the same node.
    value: Bytes,
}

impl OwnerLease {
    /// Shows that an owner on the node called `node` is alive.
    ///
    /// # Errors
    /// [`Error::Setting`] for an import while another owner is alive, by its name; when the sign cannot be looked for.
    pub async fn take(ephemeral: &Arc<dyn Ephemeral>, node: &str, is_import: bool) -> Result<Self> {
        let value = Bytes::from(format!("{node} {:x}", attempt()?));
        let lease = Self { ephemeral: Arc::clone(ephemeral), value };
        if is_import {
            lease.take_first().await?;
        } else if let Err(error) = lease.ephemeral.put(KEY, lease.value.clone(), LEASE).await {
            tracing::warn!(%error, "no import can see that this server runs, until its next sign of life");
        }
        Ok(lease)
    }

    /// Shows the sign where nobody else shows one.
    async fn take_first(&self) -> Result<()> {
        if self.ephemeral.put_if_absent(KEY, self.value.clone(), LEASE).await? {
            return Ok(());
        }
        let holder = self.ephemeral.get(KEY).await?.unwrap_or_default();
        let holder = String::from_utf8_lossy(&holder);
        let node = holder.split(' ').next().unwrap_or_default();
        Err(Error::Setting(format!(
            "{node} is alive on this data, and an import claims everything: stop that server, or wait for that import, and \
             start again; one that was killed counts as alive for {LEASE_S} s"
        )))
    }

    /// Shows the sign again and again. Without end.
    pub async fn keep(self) {
        loop {
            tokio::time::sleep(Duration::from_secs(LEASE_RENEW_S)).await;
            if let Err(error) = self.renew().await {
                tracing::debug!(%error, "the sign of life was not renewed");
            }
        }
    }

    async fn renew(&self) -> Result<(), EngineError> {
        if !self.ephemeral.renew(KEY, &self.value, LEASE).await? {
            // It was lost; or another owner shows its own, which is as good a sign.
            self.ephemeral.put_if_absent(KEY, self.value.clone(), LEASE).await?;
        }
        Ok(())
    }

    /// Takes the sign away.
    pub async fn end(&self) {
        let is_shown = self.ephemeral.renew(KEY, &self.value, LEASE).await;
        // Nobody takes its place in between: those who look find it.
        if matches!(is_shown, Ok(true))
            && let Err(error) = self.ephemeral.take(KEY).await
        {
            tracing::debug!(%error, "the sign of life lapses by itself");
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

    async fn server(ephemeral: &Arc<dyn Ephemeral>) -> OwnerLease {
        OwnerLease::take(ephemeral, "node-7", false).await.unwrap()
    }

    async fn import(ephemeral: &Arc<dyn Ephemeral>) -> Result<OwnerLease, String> {
        OwnerLease::take(ephemeral, "node-7", true).await.map_err(|error| error.to_string())
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
        older.renew().await.unwrap();
        older.end().await;
        assert!(import(&ephemeral).await.is_err(), "the newer one lives");
        ephemeral.take(KEY).await.unwrap();
        newer.renew().await.unwrap();
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
            server.renew().await.unwrap();
            match import(&engines.ephemeral).await {
                Err(_) => refused += 1,
                Ok(slipped) => slipped.end().await,
            }
        }
        assert!(refused > 10, "{refused}");
        server.end().await;
    }
}
