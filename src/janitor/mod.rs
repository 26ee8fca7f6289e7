//! Work in the background: what has expired, what deleted accounts left behind, what follows when posts are gone, and
//! how much of the journal is kept.
//!
//! Every step is bounded, can be cut off anywhere, and is begun again by the next round.

pub mod credentials;
pub mod forget;
pub mod names;
mod purge;
mod sweep;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::base::error::Result;
use crate::base::id::first_id_at;
use crate::base::limits;
use crate::chat::service::Chat;
use crate::data::deletions;
use crate::links::Links;
use crate::links::clicks::service::Clicks;
use crate::log::core::{Attachments, Core};
use crate::posts::{old_reposts, public, settle};

const HOUR_MS: u64 = 3_600_000;

/// Cleans up.
pub struct Janitor {
    /// Rows and records.
    pub core: Core,
    /// Conversations.
    pub chat: Chat,
    /// Uploads of deleted accounts, and those of messages.
    pub media: Arc<dyn Attachments>,
    /// Links of deleted accounts.
    pub links: Links,
    /// Clicks on links.
    pub clicks: Arc<Clicks>,
    /// Bytes of journal to keep.
    pub journal_bytes_max: u64,
    /// Days for which a handle stays reserved after its account is deleted.
    pub handle_reserved_days: u32,
}

impl Janitor {
    /// Rounds until the task is aborted.
    pub async fn run(self) {
        let mut tick = tokio::time::interval(Duration::from_secs(limits::JANITOR_PERIOD_S));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                _ = tick.tick() => self.round().await,
                // What the account added to the counts of others is in them until this is done.
                () = self.core.store.absent.to_clear.notified() => self.purge_all().await,
                () = self.core.store.unsettled.notified() => settle::settle_all(&self.core).await,
            };
            if let Err(error) = done {
                tracing::warn!(%error, "a round of the janitor failed; the next one goes on");
            }
        }
    }

    /// Does one round.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn round(&self) -> Result<()> {
        self.forget_ended_suspensions().await;
        self.count();
        // Not minted: an import that has not begun looks for ids that are later than its own.
        let now = self.core.log.newest().max(first_id_at(self.core.clock.now_ms()));
        // What one of them stumbles over stops none of the others.
        let done = [
            self.purge_all().await,
            self.sweep().await,
            credentials::move_all(&self.core).await,
            self.core.log.beat().await,
            names::rekey(&self.core).await,
            old_reposts::list_all(&self.core).await,
            deletions::bring_over(&self.core.store, now).await,
            public::list_all(&self.core).await,
            settle::settle_all(&self.core).await,
            self.chat.clean().await,
            self.chat.find_emptied().await,
            self.chat.let_go().await,
            self.media.forget_unused(self.core.log.sweep_ms()).await,
            forget::forget(&self.core).await,
            self.core.consumers.trim(self.journal_bytes_max).await,
            self.clicks.sweep(self.core.log.sweep_ms()).await,
        ];
        done.into_iter().collect()
    }

    /// Tells operators what scans cost.
    fn count(&self) {
        let scans = self.core.store.scans();
        metrics::counter!("fanfare_storage_dead_rows_passed_total").absolute(scans.dead_rows_passed.load(Relaxed));
        metrics::counter!("fanfare_storage_long_scans_total").absolute(scans.long.load(Relaxed));
    }

    /// Lets go of what is in memory for suspensions that ended by the clock a while ago.
    async fn forget_ended_suspensions(&self) {
        let (store, then_ms) = (&self.core.store, self.core.log.sweep_ms().saturating_sub(HOUR_MS));
        for person in store.absent.ended_before(then_ms) {
            let Ok(_held) = self.core.locks.hold(&[("suspension", person.0, 0)]).await else { return };
            if store.absent.forget_ended(person, then_ms) {
                store.unwatch(person);
            }
        }
    }
}
