//! Effects: what a record changes for people whose rows another partition writes, as events for there. Pure.
//!
//! An effect is the event itself, as far as it concerns people of the other partition: so it is folded there by the
//! same code, and needs nothing of the source. Its record there has an id of its own, for versions, and names the
//! source's, which keys of rows are made of.
//!
//! Few effects have effects: the partition of who is blocked ends that person's follow, which is one follower less for
//! the blocker; and that of somebody who is gone gives a follow back. Neither has more.

use fanfare_engines::Partition;
use fanfare_protocol::Id;
use smallvec::SmallVec;

use crate::log::events::{Derived, EndedFollow, Event, Notice, Record, SourceRecord};
use crate::log::outcome::Outcome;
use crate::log::spread::{Share, Spread};

/// Effects of a record, each with the partition that takes it: at most one a partition.
pub type Effects = SmallVec<[(Partition, Event); 1]>;

/// Effects of `record`, which gave `outcome`, in other partitions of `spread`.
#[must_use]
pub fn of(record: &Record, outcome: &Outcome, spread: Spread) -> Effects {
    if spread.is_one() {
        return Effects::new();
    }
    let share = spread.share(&record.event);
    match &record.event {
        Event::Derived(derived) => derived.effect.as_deref().map(|effect| of_effect(effect, share, spread)),
        // Another deletion of the same post came before it: nothing is taken back twice.
        Event::PostDeleted { bare_repost: false, .. } if outcome.counters.is_empty() => None,
        event => Some(of_event(event, share, spread)),
    }
    .unwrap_or_default()
}

/// The event that tells `effect` in the partition `to`; nothing where that is over there already.
#[must_use]
pub fn derived(effect: Option<Event>, to: Partition, from: SourceRecord) -> Event {
    Event::Derived(Derived { from, to: to.0, effect: effect.map(Box::new) })
}

fn of_event(event: &Event, share: Share, spread: Spread) -> Effects {
    let mut effects = Effects::new();
    for person in concerned(event).filter(|person| person.0 != 0 && !share.holds(*person)) {
        let to = spread.partition_of(person);
        if effects.iter().all(|(known, _)| *known != to) {
            let effect = reduced(event, |person| spread.partition_of(person) == to);
            effects.push((to, effect));
        }
    }
    effects
}

/// Effects of an effect: follows of people here that it ended, told to whom they followed elsewhere; and one that is
/// given back to who followed.
fn of_effect(effect: &Event, share: Share, spread: Spread) -> Effects {
    let is_ours = |edge: &&EndedFollow| share.holds(edge.follower) && !share.holds(edge.followee);
    match effect {
        Event::Blocked { ended, .. } => {
            let ended = ended.iter().filter(is_ours);
            ended.map(|edge| (spread.partition_of(edge.followee), Event::Unfollowed(*edge))).collect()
        }
        Event::FollowRefused(edge) if !share.holds(edge.follower) => {
            Effects::from_iter([(spread.partition_of(edge.follower), effect.clone())])
        }
        _ => Effects::new(),
    }
}

/// People beside the actor whose rows an event changes; some may come twice.
fn concerned(event: &Event) -> impl Iterator<Item = Id> {
    let (one, other): (Option<Id>, Option<Id>) = match event {
        Event::Followed { followee, .. } | Event::Unfollowed(EndedFollow { followee, .. }) => (Some(*followee), None),
        Event::Blocked { blocked, .. } | Event::Unblocked { blocked, .. } => (Some(*blocked), None),
        Event::Liked { post, .. } | Event::Unliked { post, .. } => (Some(post.author), None),
        Event::Posted { post, .. } => (post.reply_to.map(|to| to.author), post.repost_of.map(|of| of.author)),
        Event::PostDeleted { reply_to, repost_of, .. } => (reply_to.map(|to| to.author), repost_of.map(|of| of.author)),
        _ => (None, None),
    };
    let notices: &[Notice] = if let Event::Posted { notify, .. } = event { notify } else { &[] };
    let (mentioned, told): (&[Id], &[Id]) = match event {
        Event::PostDeleted { mentioned, told, .. } => (mentioned, told),
        Event::LiveReminded { people, .. } => (people, &[]),
        _ => (&[], &[]),
    };
    let named = mentioned.iter().chain(told).copied();
    one.into_iter().chain(other).chain(notices.iter().map(|notice| notice.user)).chain(named)
}

/// An event without what concerns only people who are not `there`.
fn reduced(event: &Event, there: impl Fn(Id) -> bool) -> Event {
    match event {
        Event::Posted { post, notify } => Event::Referred {
            author: post.author,
            reply_to: post.reply_to,
            repost_of: post.repost_of,
            bare_repost: post.is_bare_repost(),
            notify: notify.iter().filter(|notice| there(notice.user)).copied().collect(),
        },
        Event::PostDeleted { post, author, reply_to, repost_of, bare_repost, purged, mentioned, told } => {
            let kept = |people: &[Id]| people.iter().filter(|person| there(**person)).copied().collect();
            Event::PostDeleted {
                post: *post,
                author: *author,
                reply_to: *reply_to,
                repost_of: *repost_of,
                bare_repost: *bare_repost,
                purged: *purged,
                mentioned: kept(mentioned),
                told: kept(told),
            }
        }
        Event::LiveReminded { session, host, people, upto } => {
            let people = people.iter().filter(|person| there(**person)).copied().collect();
            Event::LiveReminded { session: *session, host: *host, people, upto: *upto }
        }
        event => event.clone(),
    }
}

#[cfg(test)]
#[path = "effects_tests.rs"]
mod tests;
