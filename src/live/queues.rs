//! View of open sessions in memory: of each host those that are upcoming or live, or were so lately, so that the order
//! as of a while ago can be computed. Pure.
//!
//! A set of the hosts that have any makes a page for very many followees a walk over bits, not over rows.

use std::collections::VecDeque;
use std::sync::Arc;

use fanfare_protocol::Id;

use super::order::{Highest, LivePlace, place_at};
use crate::base::id_map::IdMap;
use crate::data::rows::LiveRow;

/// Number of a host, dense.
pub type HostIndex = u32;

/// Sessions of all hosts that are open, or ended lately.
#[derive(Debug, Default)]
pub struct Queues {
    hosts: IdMap<HostIndex, Vec<Arc<LiveRow>>>,
    /// Bits, one a host: whether there are any of theirs.
    any: Vec<u64>,
    /// Sessions that ended, in the order of their ends: the record, the host, the session.
    ended: VecDeque<(Id, HostIndex, Id)>,
    /// Bound of forgetting: what ended by records below it was let go of.
    forgotten: Id,
    sessions: usize,
}

impl Queues {
    /// Takes in a session as it is now: its host's record, in the order of commits.
    pub fn take_in(&mut self, host: HostIndex, row: &Arc<LiveRow>) {
        if row.removed.is_some() {
            return self.drop_session(host, row.id);
        }
        let queue = self.hosts.entry(host).or_default();
        let known = queue.iter_mut().find(|known| known.id == row.id);
        let had_ended = match known {
            Some(known) => {
                let had_ended = known.ended.is_some();
                *known = Arc::clone(row);
                had_ended
            }
            // What ended a while ago was let go of, and stays so whatever its replay is called since.
            None if row.ended.is_some_and(|ended| ended < self.forgotten) => {
                if queue.is_empty() {
                    self.hosts.remove(&host);
                }
                return;
            }
            None => {
                queue.push(Arc::clone(row));
                self.sessions += 1;
                self.mark(host, true);
                false
            }
        };
        if let Some(ended) = row.ended.filter(|_| !had_ended) {
            // Nearly always the last.
            let at = self.ended.partition_point(|(before, ..)| *before < ended);
            self.ended.insert(at, (ended, host, row.id));
        }
    }

    fn drop_session(&mut self, host: HostIndex, session: Id) {
        let Some(queue) = self.hosts.get_mut(&host) else { return };
        let before = queue.len();
        queue.retain(|known| known.id != session);
        self.sessions -= before - queue.len();
        if queue.is_empty() {
            self.hosts.remove(&host);
            self.mark(host, false);
        } else {
            queue.shrink_to_fit();
        }
    }

    /// Whether something ended by a record below `bound`.
    #[must_use]
    pub fn has_ended_before(&self, bound: Id) -> bool {
        self.ended.front().is_some_and(|(ended, ..)| *ended < bound)
    }

    /// Lets go of what ended by records below `bound`; answers those records, and the sessions that were still here.
    pub fn forget_ended(&mut self, bound: Id) -> Vec<(Id, Arc<LiveRow>)> {
        self.forgotten = self.forgotten.max(bound);
        let mut forgotten = Vec::new();
        while let Some((ended, host, session)) = self.ended.front().copied().filter(|(ended, ..)| *ended < bound) {
            self.ended.pop_front();
            forgotten.extend(self.session(host, session).map(|row| (ended, Arc::clone(row))));
            self.drop_session(host, session);
        }
        forgotten
    }

    /// Whether `host` has a session that is open or ended lately: one bit.
    #[must_use]
    pub fn has_any(&self, host: HostIndex) -> bool {
        let word = self.any.get(host as usize / 64).copied().unwrap_or_default();
        word >> (host % 64) & 1 == 1
    }

    /// Sessions of `host`.
    #[must_use]
    pub fn of_host(&self, host: HostIndex) -> &[Arc<LiveRow>] {
        self.hosts.get(&host).map_or(&[], Vec::as_slice)
    }

    /// The session of `host`, if it is here.
    #[must_use]
    pub fn session(&self, host: HostIndex, session: Id) -> Option<&Arc<LiveRow>> {
        self.of_host(host).iter().find(|row| row.id == session)
    }

    /// Upcoming and live sessions of `host` now.
    #[must_use]
    pub fn open_count(&self, host: HostIndex) -> usize {
        self.of_host(host).iter().filter(|row| row.is_open()).count()
    }

    /// Offers the sessions of a host as of `t`, below a place: the open ones, and the replays that ended lately.
    pub fn offer_at<'a>(
        of_host: &'a [Arc<LiveRow>],
        t: Id,
        below: Option<LivePlace>,
        out: &mut Highest<&'a Arc<LiveRow>>,
    ) {
        for row in of_host {
            if let Some(place) = place_at(row, t)
                && below.is_none_or(|below| place < below)
            {
                out.offer(place, row);
            }
        }
    }

    /// Every session.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<LiveRow>> {
        self.hosts.values().flatten()
    }

    /// Number of sessions here.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.sessions
    }

    fn mark(&mut self, host: HostIndex, any: bool) {
        let word = host as usize / 64;
        if self.any.len() <= word {
            self.any.resize(word + 1, 0);
        }
        let bit = 1 << (host % 64);
        if any { self.any[word] |= bit } else { self.any[word] &= !bit }
    }
}

#[cfg(test)]
#[path = "queues_tests.rs"]
mod tests;
