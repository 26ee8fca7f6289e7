//! Questions to the server: what is wanted, which of it is asked now, and when to look again. Pure.

use fanfare_protocol::Id;

use super::{Ask, Core, Job, Of, PAGE};
use crate::MessagePlace;
use crate::conversations::conversation::{SCREEN, State, Want};
use crate::conversations::pause::Pause;

/// Conversations that are read at once.
const ABREAST_MAX: usize = 4;
/// Conversations whose deliveries are told at once; of a long list the newest tell enough.
const DELIVERED_MAX: usize = 20;

impl Job {
    fn question(&self, id: Id) -> Ask {
        let of = match &self.page {
            Some(page) => Of::Changes(page.change_seq),
            None => question(self.want),
        };
        Ask::Part(self.reading, id, of)
    }
}

impl Core {
    /// Questions to be asked now.
    pub fn asks(&mut self, now_ms: u64) -> Vec<Ask> {
        let mut asks = Vec::new();
        let reading = self.readings + 1;
        if let Some(listing) = self.sync.next(now_ms, reading) {
            self.readings = reading;
            asks.push(Ask::List(listing));
        }
        while let Some((id, message)) = self.outbox.next(now_ms) {
            self.version += 1;
            asks.push(Ask::Send(id, Box::new(message)));
        }
        self.ask_readings(now_ms, &mut asks);
        let untold = |(id, state): (&Id, &State)| Some((*id, state.read_untold()?));
        let untold: Vec<(Id, u64)> = self.states.iter().filter_map(untold).collect();
        for (id, seq) in untold {
            let is_paused = self.pauses.get(&id).is_some_and(|pause| pause.is_on(now_ms));
            if !is_paused && self.telling.insert(id) {
                asks.push(Ask::Read(id, seq));
            }
        }
        self.ask_deliveries(now_ms, &mut asks);
        asks
    }

    fn ask_readings(&mut self, now_ms: u64, asks: &mut Vec<Ask>) {
        for id in std::mem::take(&mut self.to_ask) {
            asks.extend(self.jobs.get(&id).map(|job| job.question(id)));
        }
        let due: Vec<Id> = self.due.iter().filter(|(_, at)| **at <= now_ms).map(|(id, _)| *id).collect();
        for id in due {
            if self.jobs.contains_key(&id) {
                // Looked at again when the answer is here.
                self.due.remove(&id);
                continue;
            }
            if self.pauses.get(&id).is_some_and(|pause| pause.is_on(now_ms)) || self.jobs.len() >= ABREAST_MAX {
                continue;
            }
            self.due.remove(&id);
            asks.extend(self.begin(id));
        }
    }

    /// Begins to read what a conversation wants.
    fn begin(&mut self, id: Id) -> Option<Ask> {
        let want = match self.states.get(&id) {
            Some(state) => state.wants()?,
            None if self.unknown.contains_key(&id) => Want::Conversation,
            None => return None,
        };
        if let Some(state) = self.states.get_mut(&id) {
            state.begins(want);
        }
        let reading = self.next_reading();
        let job = Job { want, reading, page: None };
        let ask = job.question(id);
        self.jobs.insert(id, job);
        Some(ask)
    }

    fn ask_deliveries(&mut self, now_ms: u64, asks: &mut Vec<Ask>) {
        let due: Vec<Id> = self.deliveries.iter().filter(|(_, at)| **at <= now_ms).map(|(id, _)| *id).collect();
        let skipped = due.len().saturating_sub(DELIVERED_MAX);
        for (at, id) in due.into_iter().enumerate() {
            self.deliveries.remove(&id);
            let Some(state) = self.states.get(&id) else { continue };
            let (last, read) = state.heads();
            let told = self.delivered.get(&id).copied().unwrap_or(read);
            // Whoever has not accepted a request does not say that it arrived.
            if at >= skipped && !state.is_request() && last > told {
                self.delivered.insert(id, last);
                asks.push(Ask::Delivered(id, last));
            }
        }
    }

    /// The next moment at which `asks` may have something, without anything being heard.
    pub fn wakes_at_ms(&self) -> Option<u64> {
        let paused = |id: &Id, at: u64| at.max(self.pauses.get(id).and_then(Pause::until_ms).unwrap_or(0));
        let due = self.due.iter().map(|(id, at)| paused(id, *at)).min();
        // With all places taken the next answer wakes.
        let due = due.filter(|_| self.jobs.len() < ABREAST_MAX);
        let untold =
            self.states.iter().filter(|(id, state)| !self.telling.contains(*id) && state.read_untold().is_some());
        let untold = untold.map(|(id, _)| paused(id, 0)).min();
        let typing = self.typing.values().min().copied();
        let deliveries = self.deliveries.values().min().copied();
        let now = (!self.to_ask.is_empty()).then_some(0);
        [now, due, untold, typing, deliveries, self.sync.wakes_at_ms(), self.outbox.wakes_at_ms()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Lets go of what is over.
    pub fn tick(&mut self, now_ms: u64) {
        let before = self.typing.len();
        self.typing.retain(|_, until| *until > now_ms);
        self.version += u64::from(self.typing.len() != before);
    }
}

/// Question of a want.
const fn question(want: Want) -> Of {
    match want {
        Want::Conversation => Of::Conversation,
        Want::Newest => Of::Messages(MessagePlace::Newest, SCREEN as u16),
        Want::After(seq) => Of::Messages(MessagePlace::After(seq), PAGE),
        Want::Before(seq) => Of::Messages(MessagePlace::Before(seq), SCREEN as u16),
        Want::Changes(after) => Of::Changes(after),
        Want::Message(seq) => Of::Messages(MessagePlace::Around(seq), 1),
        Want::Receipts => Of::Receipts,
        Want::Members => Of::Members,
    }
}
