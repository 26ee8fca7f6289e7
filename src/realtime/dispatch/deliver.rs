//! Deliveries on their way to shards: the audience is looked up, the lane says who waits and what is shed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fanfare_protocol::{Id, Lane, Stream};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

use super::groups::{Addressed, Gathers};
use super::outbox::{self, Outbox};
use super::readers::SeatNumber;
use super::{Dispatcher, Queued, Recipients, RenderJob, Rendered};
use crate::base::limits::realtime::{
    AUDIENCE_SLICE, BACKLOG_MAX, BACKLOG_SLICES, GROUP_SLICES, JUDGED_SLICE, RENDER_QUEUE_MAX, RENDERERS_OF_GROUPS,
    UNJUDGED_MAX,
};
use crate::realtime::deliver::{Audience, Deliver, Item, SharedItem};
use crate::realtime::frame::{BULK_STREAM, Frame};
use crate::realtime::loss::Loss;
use crate::realtime::session::SessionId;
use crate::realtime::signals::{BulkItem, BulkPost, Mark, ShardHandle};
use crate::realtime::tracks::Track;

/// Pause between two looks whether a renderer of groups has room.
const ROOM_LOOK: Duration = Duration::from_millis(1);

/// A shared item on its way.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    item: Arc<dyn SharedItem>,
    stream: Option<Stream>,
    lane: Lane,
    /// Handed out in slices.
    large: bool,
}

impl Gathers for Piece {
    fn about(&self) -> Option<u64> {
        Some(self.item.covers()?.about)
    }

    fn standing_for(self, earlier: &Self) -> Self {
        let all = earlier.item.covers().and_then(|covers| self.item.covering(covers.after));
        Self { item: all.unwrap_or_else(|| Arc::clone(&self.item)), ..self }
    }
}

impl Dispatcher {
    /// Sends an item on its way; answers how many sessions it is for, where that is known at once.
    pub(super) async fn deliver(&mut self, deliver: Deliver) -> usize {
        let Deliver { audience, item, stream, lane, except, large } = deliver;
        match item {
            Item::Reference(item) => {
                let to = match audience {
                    Audience::Followers(author) => Recipients::Followers { author, with: None, after: None },
                    Audience::FollowersOfBoth(author, with) => {
                        Recipients::Followers { author, with: Some(with), after: None }
                    }
                    audience => Recipients::Sessions(self.sessions_of(&audience)),
                };
                let after = self.last[Track::Social as usize].upto;
                self.queue(Queued { item, after, to });
                0
            }
            Item::Frame(frame) if audience == Audience::All => {
                self.send(None, frame, lane).await;
                self.shared.sessions.load(Ordering::Relaxed)
            }
            Item::Shared(item) => {
                let mut sessions = self.sessions_of(&audience);
                sessions.retain(|session| except != Some(*session));
                self.share(Piece { item, stream, lane, large }, sessions).await;
                0
            }
            Item::Frame(frame) => {
                let mut sessions = self.sessions_of(&audience);
                sessions.retain(|session| except != Some(*session));
                let reached = sessions.len();
                self.send(Some(&sessions), frame, lane).await;
                reached
            }
            Item::Judged { frame, from, judge } => {
                let seats = self.seats_of(&audience);
                for slice in seats.chunks(JUDGED_SLICE) {
                    let there = slice.iter().filter_map(|seat| self.readers.seat(*seat));
                    let people: Vec<_> = there.map(|(person, sessions)| (person, sessions.to_vec())).collect();
                    let (frame, judge) = (frame.clone(), Arc::clone(&judge));
                    self.unjudged.push_back(RenderJob::Judged { people, frame, from, judge });
                }
                while self.unjudged.len() > UNJUDGED_MAX {
                    self.unjudged.pop_front();
                    metrics::counter!("fanfare_shed_total", "what" => "realtime_unjudged").increment(1);
                }
                self.hand_out_unjudged();
                0
            }
            Item::Personal(item) => {
                let people: Vec<Id> = match audience {
                    Audience::People(people) => people.into_vec(),
                    audience => self.people_of(&audience),
                };
                for person in people {
                    let sessions = self.readers.sessions_of(person).to_vec();
                    self.render(Rendered::Personal(person, Arc::clone(&item)), sessions, stream, lane).await;
                }
                0
            }
        }
    }

    /// Sends a shared item on its way to sessions, behind what of its line waits or is gathered.
    async fn share(&mut self, piece: Piece, sessions: Vec<SessionId>) {
        let line = piece.item.line();
        if sessions.is_empty() && !self.gathered.holds(line) {
            return;
        }
        let after = self.last[Track::Chat as usize].upto;
        let now = Instant::now().into_std();
        let going = self.gathered.take(Addressed { item: piece, line, sessions, after }, now);
        for one in going.into_iter().flatten() {
            self.forward(one).await;
        }
    }

    /// Sends on what has been gathered long enough.
    pub(super) async fn forward_gathered(&mut self) {
        let now = Instant::now().into_std();
        while let Some(one) = self.gathered.due(now) {
            self.forward(one).await;
        }
    }

    async fn forward(&mut self, one: Addressed<Piece>) {
        if one.sessions.is_empty() {
            return;
        }
        if !one.item.large && !self.groups.holds(one.line) {
            let Piece { item, stream, lane, .. } = one.item;
            return self.render(Rendered::Shared(item), one.sessions, stream, lane).await;
        }
        if let Some(gone) = self.groups.push(one) {
            metrics::counter!("fanfare_shed_total", "what" => "realtime_groups").increment(1);
            self.lose(gone.item.stream, &gone.sessions, gone.item.item.key());
        }
    }

    /// An item does not reach these sessions: a gap tells of it.
    fn lose(&mut self, stream: Option<Stream>, sessions: &[SessionId], key: Id) {
        for (outbox, sessions) in self.outboxes.iter_mut().zip(by_shard(&self.shards, sessions)) {
            if let Some(stream) = stream.filter(|_| !sessions.is_empty()) {
                outbox.lose(stream, Some(&sessions), Loss::one(key, true));
            }
        }
    }

    /// Waits until there is room for a slice of a large group.
    pub(super) async fn room_for_groups(&self) {
        let has_room = |renderer: &mpsc::Sender<RenderJob>| renderer.capacity() > RENDER_QUEUE_MAX / 2;
        while !self.renderers.iter().rev().take(RENDERERS_OF_GROUPS).all(has_room) {
            tokio::time::sleep(ROOM_LOOK).await;
        }
    }

    /// Hands slices of large groups to their renderer, as far as it has room beside smaller ones.
    fn hand_out_groups(&mut self) {
        for _ in 0..GROUP_SLICES {
            let Some((piece, sessions)) = self.groups.next() else { return };
            let Some(renderer) = self.renderer_of(piece.item.line(), piece.stream) else { return };
            if renderer.capacity() <= RENDER_QUEUE_MAX / 2 {
                return;
            }
            let job = RenderJob::Item { item: Rendered::Shared(Arc::clone(&piece.item)), sessions: sessions.to_vec() };
            if renderer.try_send(job).is_err() {
                return;
            }
            self.groups.given();
        }
    }

    /// Renderer of a line: always the same one, so that what is in it stays in order.
    fn renderer_of(&self, line: Id, stream: Option<Stream>) -> Option<&mpsc::Sender<RenderJob>> {
        let of_groups = RENDERERS_OF_GROUPS.min(self.renderers.len());
        let (urgent, others) = self.renderers.split_at(self.renderers.len() - of_groups);
        let renderers = if stream == Some(Stream::Group) || urgent.is_empty() { others } else { urgent };
        let renderer = (line.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % renderers.len().max(1);
        renderers.get(renderer)
    }

    /// Hands slices to be judged to a renderer, as far as it has room beside what is urgent. Always the same one: what
    /// is said of one thing stays in order.
    pub(super) fn hand_out_unjudged(&mut self) {
        let Some(renderer) = self.renderers.last() else { return };
        while renderer.capacity() > RENDER_QUEUE_MAX / 2
            && let Some(job) = self.unjudged.pop_front()
        {
            if let Err(TrySendError::Full(job)) = renderer.try_send(job) {
                self.unjudged.push_front(job);
                return;
            }
        }
    }

    /// Has `item` rendered for sessions, if there are any.
    async fn render(&mut self, item: Rendered, sessions: Vec<SessionId>, stream: Option<Stream>, lane: Lane) {
        if sessions.is_empty() {
            return;
        }
        let Some(renderer) = self.renderer_of(item.line(), stream) else { return };
        let job = RenderJob::Item { item, sessions };
        if lane == Lane::Urgent {
            // Full: the dispatcher waits, and commits wait in its inbox.
            let _ = renderer.send(job).await;
        } else if let Err(TrySendError::Full(RenderJob::Item { item, sessions })) = renderer.try_send(job) {
            self.lose(stream, &sessions, item.key());
        }
    }

    /// Seats of an audience at this moment.
    fn seats_of(&self, audience: &Audience) -> Vec<SeatNumber> {
        let (author, with) = match audience {
            Audience::Followers(author) | Audience::FollowersUntilNow(author) => (*author, None),
            Audience::FollowersOfBoth(author, with) => (*author, Some(*with)),
            Audience::People(people) => return people.iter().filter_map(|one| self.readers.seat_of(*one)).collect(),
            Audience::Members(people) => return people.iter().filter_map(|one| self.readers.seat_of(*one)).collect(),
            Audience::All => return self.readers.seats().collect(),
        };
        let (mut seats, mut after) = (Vec::new(), None);
        while self.readers.audience(author, after, AUDIENCE_SLICE, &mut seats) == AUDIENCE_SLICE {
            after = seats.last().copied();
        }
        seats.retain(|seat| self.readers.hears(*seat, with));
        seats
    }

    fn sessions_of(&self, audience: &Audience) -> Vec<SessionId> {
        if let Audience::People(people) = audience
            && let [person] = people.as_slice()
        {
            return self.readers.sessions_of(*person).to_vec();
        }
        let seats = self.seats_of(audience);
        let sessions = seats.iter().filter_map(|seat| self.readers.seat(*seat));
        sessions.flat_map(|(_, sessions)| sessions.iter().copied()).collect()
    }

    fn people_of(&self, audience: &Audience) -> Vec<Id> {
        let seats = self.seats_of(audience);
        seats.iter().filter_map(|seat| self.readers.seat(*seat)).map(|(person, _)| person).collect()
    }

    /// Puts an item of the bulk stream into the backlog. At its bound the oldest is shed: whoever has not got it is
    /// told so.
    fn queue(&mut self, queued: Queued) {
        self.backlog.push_back(queued);
        while self.backlog.len() > BACKLOG_MAX
            && let Some(mut oldest) = self.backlog.pop_front()
        {
            metrics::counter!("fanfare_shed_total", "what" => "realtime_backlog").increment(1);
            // All of them first: lost slice by slice, one item would count as many.
            let mut lacking: Vec<Vec<SessionId>> = vec![Vec::new(); self.shards.len()];
            let mut more = true;
            while more {
                let slices;
                (slices, more) = self.slice(&mut oldest.to);
                lacking.iter_mut().zip(slices).for_each(|(all, mut slice)| all.append(&mut slice));
            }
            for (outbox, sessions) in self.outboxes.iter_mut().zip(lacking) {
                if !sessions.is_empty() {
                    outbox.lose_item(&sessions, oldest.item);
                }
            }
        }
    }

    /// Hands what waits to the shards, oldest first, as far as these have room: so what is urgent never waits behind it
    /// here.
    pub(super) fn hand_out(&mut self) {
        self.hand_out_unjudged();
        for (shard, outbox) in self.shards.iter().zip(&mut self.outboxes) {
            // What stays is tried again with the next signals; a tick is one.
            while shard.takes_more()
                && let Some(command) = outbox.next()
            {
                if let Err(command) = shard.try_send(command) {
                    outbox.put_back(command);
                    break;
                }
            }
            while shard.takes_bulk()
                && let Some(lost) = outbox.next_bulk()
            {
                shard.post(lost);
            }
        }
        for _ in 0..BACKLOG_SLICES {
            if !self.shards.iter().all(ShardHandle::takes_bulk) {
                break;
            }
            let Some(mut queued) = self.backlog.pop_front() else { break };
            let (sessions, more) = self.slice(&mut queued.to);
            for (shard, sessions) in self.shards.iter().zip(sessions) {
                if !sessions.is_empty() {
                    shard.post(BulkPost { sessions, item: BulkItem::Reference(queued.item) });
                }
            }
            if more {
                self.backlog.push_front(queued);
            }
        }
        self.hand_out_groups();
        let waits = self.backlog.front().map(|first| first.after);
        let of_groups = [self.groups.low(), self.gathered.low()].into_iter().flatten().min();
        let held = self.outboxes.iter().filter_map(Outbox::low).min().map(|low| Id(low.0.saturating_sub(1)));
        let reached = Track::ALL.map(|track| {
            let last = self.last[track as usize];
            let waits = waits.filter(|_| track == Track::of(BULK_STREAM));
            let of_groups = of_groups.filter(|_| track == Track::of(Stream::Group));
            match [waits, of_groups, held].into_iter().flatten().min() {
                None => last,
                // The number says that nothing is on its way, and something is.
                Some(below) => Mark { number: 0, upto: below.min(last.upto) },
            }
        });
        self.shared.tracks.reached(0, reached);
    }

    /// Next slice of an audience, by shard; true when there may be more.
    fn slice(&mut self, to: &mut Recipients) -> (Vec<Vec<SessionId>>, bool) {
        match to {
            Recipients::Followers { author, with, after } => {
                let mut by_shard: Vec<Vec<SessionId>> = vec![Vec::new(); self.shards.len()];
                let mut seats = std::mem::take(&mut self.audience);
                seats.clear();
                let copied = self.readers.audience(*author, *after, AUDIENCE_SLICE, &mut seats);
                *after = seats.last().copied();
                for seat in &seats {
                    let Some((_, sessions)) = self.readers.seat(*seat) else { continue };
                    if !self.readers.hears(*seat, *with) {
                        continue;
                    }
                    for session in sessions {
                        if let Some(list) = by_shard.get_mut(session.shard()) {
                            list.push(*session);
                        }
                    }
                }
                self.audience = seats;
                (by_shard, copied == AUDIENCE_SLICE)
            }
            Recipients::Sessions(sessions) => {
                let left = sessions.len().saturating_sub(AUDIENCE_SLICE);
                (by_shard(&self.shards, &sessions.split_off(left)), left > 0)
            }
        }
    }

    /// Hands a frame to the shards of these sessions, or of all. Only an urgent one waits for a full shard.
    pub(super) async fn send(&mut self, sessions: Option<&[SessionId]>, frame: Frame, lane: Lane) {
        let shares = sessions.map(|sessions| by_shard(&self.shards, sessions));
        for (number, (shard, outbox)) in self.shards.iter().zip(&mut self.outboxes).enumerate() {
            let slices = match &shares {
                None => vec![None],
                Some(shares) => {
                    let share = shares.get(number).map(Vec::as_slice).unwrap_or_default();
                    share.chunks(AUDIENCE_SLICE).map(|slice| Some(slice.to_vec())).collect()
                }
            };
            for sessions in slices {
                if lane == Lane::Urgent {
                    shard.send(outbox::command(sessions, frame.clone())).await;
                } else if !outbox.has_commands() && shard.takes_more() {
                    if let Err(command) = shard.try_send(outbox::command(sessions, frame.clone())) {
                        outbox.put_back(command);
                    }
                } else {
                    let shed = outbox.push(sessions, frame.clone());
                    metrics::counter!("fanfare_shed_total", "what" => "realtime_outbox").increment(shed as u64);
                }
            }
        }
    }
}

/// Sessions by their shards.
fn by_shard(shards: &[ShardHandle], sessions: &[SessionId]) -> Vec<Vec<SessionId>> {
    let mut shares = vec![Vec::new(); shards.len()];
    for session in sessions {
        if let Some(share) = shares.get_mut(session.shard()) {
            share.push(*session);
        }
    }
    shares
}
