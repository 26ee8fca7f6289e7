//! Answers of the server, and what comes of them. Pure.

use fanfare_protocol::{Code, Conversation, Id, NewMessage, Problem};

use super::{Answer, Ask, Core, DELIVERED_MS, Job};
use crate::ClientError;
use crate::conversations::conversation::{State, Want};
use crate::conversations::outbox::Sent;
use crate::conversations::sync::{Anew, Listing};
use crate::conversations::window::overlay;

/// Readings in a row, after which a conversation that changes all the time waits a little.
const ROUNDS_MAX: u32 = 6;

impl Core {
    /// Takes the answer to a question.
    pub fn answered(&mut self, ask: Ask, answer: crate::Result<Answer>, now_ms: u64) {
        match ask {
            Ask::List(listing) => self.listed(&listing, answer, now_ms),
            Ask::Send(id, message) => self.sent(id, &message, answer, now_ms),
            Ask::Read(id, seq) => self.read_told(id, seq, answer, now_ms),
            Ask::Delivered(id, _) => {
                if answer.is_err() {
                    self.delivered.remove(&id);
                }
            }
            Ask::Part(reading, id, _) => self.read(id, reading, answer, now_ms),
        }
        self.version += 1;
    }

    fn sent(&mut self, id: Id, message: &NewMessage, answer: crate::Result<Answer>, now_ms: u64) {
        let dice = self.dice();
        let outcome = match answer {
            Ok(Answer::Sent(sent)) => {
                // Seen first: a line never stands twice.
                self.arrived(&sent);
                self.at(id, now_ms, |state| state.pushed(&sent));
                Sent::Done
            }
            Err(ClientError::Problem(problem)) if is_definite(&problem) => Sent::Refused(problem),
            Ok(_) | Err(_) => Sent::Unknown,
        };
        self.outbox.answered(id, &message.client_id, outcome, now_ms, dice);
        self.changed(id, now_ms);
    }

    fn read_told(&mut self, id: Id, seq: u64, answer: crate::Result<Answer>, now_ms: u64) {
        self.telling.remove(&id);
        let dice = self.dice();
        let is_known = match answer {
            Ok(_) => true,
            // Refused for good: the server's mark is the right one.
            Err(ClientError::Problem(problem)) => is_definite(&problem),
            Err(_) => false,
        };
        if !is_known {
            self.pauses.entry(id).or_default().begin(now_ms, dice);
        } else if let Some(state) = self.states.get_mut(&id) {
            state.read_is_told(seq);
            state.recounted();
            self.due.entry(id).or_insert(now_ms);
        }
    }

    fn listed(&mut self, listing: &Listing, answer: crate::Result<Answer>, now_ms: u64) {
        let dice = self.dice();
        match answer {
            Ok(Answer::List(page)) => {
                for conversation in &page.items {
                    self.told(conversation.clone(), listing.reading, now_ms);
                }
                if let Some(anew) = self.sync.listed(listing, &page) {
                    self.anew(&anew, now_ms);
                }
            }
            Err(ClientError::Problem(problem)) if problem.status == 410 || problem.status == 400 => self.sync.expired(),
            _ => self.sync.failed(now_ms, dice),
        }
    }

    /// The list begins anew: what is not in it and nobody looks at is let go, the rest is read.
    fn anew(&mut self, anew: &Anew, now_ms: u64) {
        // One that became known since the list began is newer than it.
        let is_other = |(id, state): &(&Id, &State)| !anew.listed.contains(id) && !state.is_of_after(anew.began);
        let others: Vec<Id> = self.states.iter().filter(is_other).map(|(id, _)| *id).collect();
        for id in others {
            if self.states.get(&id).is_some_and(State::is_open) {
                self.refresh(id, now_ms);
            } else {
                self.drop_one(id);
            }
        }
    }

    fn told(&mut self, conversation: Conversation, reading: u64, now_ms: u64) {
        let id = conversation.id;
        // What somebody looks at stays, also where another device hid it.
        if conversation.left || conversation.hidden && !self.opened.contains_key(&id) {
            return self.drop_one(id);
        }
        let has_unread = conversation.unread_count > 0;
        if let Some(state) = self.states.get_mut(&id) {
            state.told(conversation, reading);
        } else {
            let mut state = State::new(self.me, conversation, reading);
            // Something came for it that a reading from before does not have.
            if self.unknown.remove(&id).is_some_and(|noted| reading <= noted) {
                state.updated();
            }
            if self.opened.contains_key(&id) {
                state.open();
            }
            self.states.insert(id, state);
        }
        if has_unread {
            self.deliveries.entry(id).or_insert(now_ms + DELIVERED_MS);
        }
        self.changed(id, now_ms);
    }

    /// Takes the answer to a reading of one conversation.
    fn read(&mut self, id: Id, reading: u64, answer: crate::Result<Answer>, now_ms: u64) {
        // For a conversation that was dropped meanwhile nothing is wanted, even if it is back.
        if self.jobs.get(&id).is_none_or(|job| job.reading != reading) {
            return;
        }
        let Some(job) = self.jobs.remove(&id) else { return };
        match answer {
            Ok(answer) => match self.take(id, job, answer, now_ms) {
                Ok(Some(job)) => self.go_on(id, job),
                Ok(None) => self.next_round(id, now_ms),
                Err(want) => self.later(id, want, now_ms),
            },
            Err(ClientError::Problem(problem)) if problem.code == Code::SnapshotExpired => {
                self.go_on(id, Job { want: Want::Newest, page: None, ..job });
            }
            Err(ClientError::Problem(problem)) if matches!(problem.status, 403 | 404 | 410) => {
                // The person may have come back since the question.
                if self.states.get(&id).is_some_and(|state| state.is_of_after(job.reading)) {
                    self.refresh(id, now_ms);
                } else {
                    self.drop_one(id);
                }
            }
            Err(_) => self.later(id, job.want, now_ms),
        }
    }

    /// Asks the next question of a reading at once.
    pub(super) fn go_on(&mut self, id: Id, job: Job) {
        self.jobs.insert(id, job);
        self.to_ask.push(id);
    }

    fn next_round(&mut self, id: Id, now_ms: u64) {
        self.pauses.remove(&id);
        let rounds = self.rounds.entry(id).or_default();
        *rounds += 1;
        let is_whole = self.states.get(&id).is_none_or(|state| state.wants().is_none());
        let at_ms = if *rounds < ROUNDS_MAX { now_ms } else { now_ms + DELIVERED_MS };
        if is_whole || *rounds >= ROUNDS_MAX {
            self.rounds.remove(&id);
        }
        self.due.insert(id, at_ms);
        self.changed(id, now_ms);
    }

    fn later(&mut self, id: Id, want: Want, now_ms: u64) {
        let dice = self.dice();
        if let Some(state) = self.states.get_mut(&id) {
            state.failed(want);
        }
        self.pauses.entry(id).or_default().begin(now_ms, dice);
        self.due.entry(id).or_insert(now_ms);
    }

    /// Takes an answer. A page that is older than what was pushed goes on with the changes since; `Err` is to be read
    /// again later.
    fn take(&mut self, id: Id, mut job: Job, answer: Answer, now_ms: u64) -> Result<Option<Job>, Want> {
        if let Answer::Conversation(told) = answer {
            self.told(*told, job.reading, now_ms);
            return Ok(None);
        }
        let Some(state) = self.states.get_mut(&id) else { return Ok(None) };
        let page = match answer {
            Answer::Receipts(receipts) => {
                receipts.into_iter().for_each(|receipt| state.receipt(receipt));
                return Ok(None);
            }
            Answer::Members(members) => {
                state.members = Some(members);
                return Ok(None);
            }
            Answer::Changes(changes) => {
                let through = changes.items.last().map_or(changes.change_seq, |change| change.change_seq);
                let Some(mut page) = job.page.take() else {
                    let Want::Changes(after) = job.want else { return Err(job.want) };
                    state.changes_read(after, &changes.items, through);
                    return Ok(None);
                };
                // A node that is behind: it is asked again after a pause.
                if through <= page.change_seq {
                    return Err(job.want);
                }
                overlay(&mut page, &changes.items, through);
                page
            }
            Answer::Messages(page) => page,
            Answer::List(_) | Answer::Conversation(_) | Answer::Sent(_) | Answer::Done => return Err(job.want),
        };
        let reached = if job.want == Want::Newest { state.window.change() } else { state.window.applied() };
        if page.change_seq < reached && !matches!(job.want, Want::Message(_)) {
            job.page = Some(page);
            return Ok(Some(job));
        }
        match job.want {
            Want::Newest => state.replaced(page),
            Want::Message(seq) => {
                let found = page.items.iter().find(|message| message.seq == seq);
                if let Some(message) = found {
                    state.window.one_read(message, page.change_seq);
                }
            }
            Want::Before(_) if page.items.is_empty() => state.is_at_start(),
            _ => {
                if !state.page_read(page) {
                    return Ok(Some(Job { want: Want::Newest, ..job }));
                }
            }
        }
        Ok(None)
    }
}

/// Whether the server refused for good: nothing was done, and a repeat changes nothing.
fn is_definite(problem: &Problem) -> bool {
    (400..500).contains(&problem.status) && !matches!(problem.status, 401 | 408 | 409 | 425 | 429)
}
