//! Salts of days: made the hour before, the same on every node, and thrown away the day after.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fanfare_engines::{KeyRange, Order, Tables, Unique};
use fanfare_protocol::Id;
use parking_lot::RwLock;

use super::click::Visitor;
use super::rollup::{DAY_MS, HOUR_MS};
use super::visitor::{SALT_BYTES, Salt};
use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::limits::clicks::{SALT_LOOK_MS, SWEEP_ROWS};
use crate::data::tables;

/// Keeper of the salts.
pub struct Salts {
    tables: Arc<dyn Tables>,
    clock: Clock,
    known: RwLock<Vec<(u32, Salt)>>,
}

impl Salts {
    /// Keeper of the salts in `tables`.
    #[must_use]
    pub fn new(tables: Arc<dyn Tables>, clock: Clock) -> Self {
        Self { tables, clock, known: RwLock::default() }
    }

    /// Visitor of a link at that moment; `None` while the salt of the day is not known.
    #[must_use]
    pub fn visitor(&self, at_ms: u64, link: Id, address: IpAddr, agent: &[u8]) -> Option<Visitor> {
        let day = (at_ms / DAY_MS) as u32;
        let known = self.known.read();
        known.iter().find(|(of, _)| *of == day).map(|(_, salt)| salt.visitor(link, address, agent))
    }

    /// Looks after the salts until it is aborted.
    pub async fn keep(self: Arc<Self>) {
        loop {
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "salts of visitors could not be looked after; it is tried again");
            }
            tokio::time::sleep(Duration::from_millis(SALT_LOOK_MS)).await;
        }
    }

    /// Has the salts of today, and of tomorrow in the last hour of the day; throws those of days before away.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn look(&self) -> Result<()> {
        let now_ms = self.clock.now_ms();
        let today = (now_ms / DAY_MS) as u32;
        for day in [today, ((now_ms + HOUR_MS) / DAY_MS) as u32] {
            self.know(day).await?;
        }
        self.known.write().retain(|(day, _)| *day >= today);
        self.throw_away(today).await
    }

    /// Has the salt of a day from now on.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn know(&self, day: u32) -> Result<()> {
        if !self.known.read().iter().any(|(known, _)| *known == day) {
            let salt = self.find_or_make(day).await?;
            self.known.write().push((day, salt));
        }
        Ok(())
    }

    async fn find_or_make(&self, day: u32) -> Result<Salt> {
        let key = tables::click_salt_row(day);
        let stored = match self.tables.get(&key).await? {
            Some(stored) => stored,
            None => {
                let mut made = [0; SALT_BYTES + 8];
                getrandom::fill(&mut made).map_err(|error| Error::Internal(error.to_string()))?;
                let token = token_of(&made).unwrap_or_default();
                match self.tables.insert_unique(key, made.to_vec().into(), token).await? {
                    Unique::Mine => made.to_vec().into(),
                    Unique::Taken(others) => others,
                }
            }
        };
        let salt = stored.first_chunk().and_then(Salt::new);
        salt.ok_or_else(|| Error::Internal(format!("the salt of day {day} is none")))
    }

    async fn throw_away(&self, today: u32) -> Result<()> {
        let end = tables::click_salt_row(today).clustering;
        let range = KeyRange { from: None, to: Some(end) };
        let old = self.tables.scan(tables::CLICK_SALTS, &tables::ONE, range, Order::Ascending, SWEEP_ROWS).await?;
        for row in old {
            if let (Some(day), Some(token)) = (tables::in_click_day(&row.clustering), token_of(&row.value)) {
                self.tables.release_unique(&tables::click_salt_row(day), token).await?;
            }
        }
        Ok(())
    }
}

fn token_of(stored: &[u8]) -> Option<u64> {
    stored.get(SALT_BYTES..)?.first_chunk().map(|token| u64::from_be_bytes(*token))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON_MS: u64 = 20_000 * DAY_MS + 12 * HOUR_MS;

    fn visitor(salts: &Salts, at_ms: u64) -> Option<Visitor> {
        salts.visitor(at_ms, Id(1), IpAddr::from([192, 0, 2, 1]), b"Firefox")
    }

    #[tokio::test]
    async fn a_salt_lives_for_its_day_on_every_node_and_through_a_restart() {
        let engines = fanfare_engines::memory::open(1).unwrap();
        let clock = Clock::by_hand(NOON_MS);
        let of = || Salts::new(Arc::clone(&engines.tables), clock.clone());
        let (one, other) = (of(), of());
        assert_eq!(visitor(&one, NOON_MS), None, "not known yet");
        one.look().await.unwrap();
        other.look().await.unwrap();
        let ada = visitor(&one, NOON_MS).unwrap();
        assert_eq!(visitor(&other, NOON_MS), Some(ada));
        let stored = |day: u32| {
            let tables = Arc::clone(&engines.tables);
            async move { tables.get(&tables::click_salt_row(day)).await.unwrap().is_some() }
        };
        assert!(stored(20_000).await && !stored(20_001).await);
        clock.set(NOON_MS + 11 * HOUR_MS + HOUR_MS / 2);
        one.look().await.unwrap();
        assert!(stored(20_001).await, "made before its day begins");
        let tomorrow_ms = NOON_MS + 12 * HOUR_MS;
        clock.set(tomorrow_ms);
        one.look().await.unwrap();
        other.look().await.unwrap();
        assert!(!stored(20_000).await && visitor(&one, NOON_MS).is_none());
        let next = visitor(&one, tomorrow_ms).unwrap();
        assert!(next != ada && visitor(&other, tomorrow_ms) == Some(next));
    }
}
