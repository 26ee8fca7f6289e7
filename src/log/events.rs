//! Facts, which the journal holds: one record each, complete enough that every row can be written again from it.
//!
//! Records are JSON: an upgrade can add fields, and an operator can read them.

use fanfare_protocol::{Id, NotificationKind};
use serde::{Deserialize, Serialize};

use crate::base::limits;
use crate::data::audit::Act;
use crate::data::rows::UserRow;
pub use crate::data::rows::{EndedFollow, LinkRow, LiveEdit, Policy, PostRecord, PostRef};

/// A fact. The id of the post or edge that it makes is the record's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// An account was made; the handle is already reserved, and the id was minted for it.
    UserCreated { user: UserRow },
    /// The profile is now this; the old name leaves the people search.
    ProfileChanged { user: UserRow, old_display_name: Option<String> },
    /// The account is gone; what it left behind is removed by the janitor.
    UserDeleted { user: UserRow },
    /// No account of this id was made, and none ever will be: whoever wants the handle that was reserved for it says
    /// so.
    IdBurnt { user: Id },
    /// An edge was made; the followee hears of it if `notify` (a graph that is imported is no news).
    ///
    /// Of one that is `silent` the rows say so: until it did, imports had only `notify: false`.
    Followed {
        follower: Id,
        followee: Id,
        notify: bool,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        silent: bool,
    },
    /// An edge ended.
    Unfollowed(EndedFollow),
    /// `blocker` blocks `blocked`; follows between them ended.
    Blocked { blocker: Id, blocked: Id, ended: Vec<EndedFollow> },
    /// The block is over; follows are not restored.
    Unblocked { blocker: Id, blocked: Id },
    /// `muter` mutes `muted`.
    Muted { muter: Id, muted: Id },
    /// The mute is over.
    Unmuted { muter: Id, muted: Id },
    /// A post was published.
    Posted { post: PostRecord, notify: Vec<Notice> },
    /// A post was removed; what its rows need of it is here. `purged`: with its author's account, of whose deletion
    /// everybody hears once, and of this not.
    PostDeleted {
        post: Id,
        author: Id,
        reply_to: Option<PostRef>,
        repost_of: Option<PostRef>,
        bare_repost: bool,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        purged: bool,
        /// People whom it named. Records of earlier versions do not tell.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        mentioned: Vec<Id>,
        /// People who were notified of it. Records of earlier versions do not tell.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        told: Vec<Id>,
    },
    /// `user` likes `post`.
    Liked { user: Id, post: PostRef },
    /// The like, made by record `since`, is over.
    Unliked { user: Id, post: PostRef, since: Id },
    /// `host` announces a live session, which has the id of the record.
    LiveAnnounced { host: Id, title: String, starts_at_ms: u64 },
    /// Title, plan or recording of a session change.
    LiveEdited { session: Id, host: Id, edit: LiveEdit },
    /// A session begins: now, whatever was planned.
    LiveStarted { session: Id, host: Id },
    /// A session is over; from now on it is a replay, which reaches followers by `policy`.
    LiveEnded {
        session: Id,
        host: Id,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replay_url: Option<String>,
        #[serde(default)]
        policy: Policy,
    },
    /// A session is cancelled, or its replay removed, which is that of the record `ended`.
    LiveRemoved {
        session: Id,
        host: Id,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ended: Option<Id>,
    },
    /// People who are reminded of a session that has begun: of those who want to be, the ones after whoever was
    /// reminded before, up to `upto`.
    LiveReminded { session: Id, host: Id, people: Vec<Id>, upto: Id },
    /// `user` is suspended; takes the place of an earlier suspension. It ends at `until_ms`, by the clock.
    Suspended { user: Id, reason: String, until_ms: Option<u64> },
    /// The suspension of `user` is lifted.
    Unsuspended { user: Id },
    /// A short link was made. An alias is taken for the attempt `claim`; codes of the server's own need none.
    /// `number`: of the code, where that is an alias that could have been given out.
    LinkCreated {
        code: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claim: Option<Id>,
        link: LinkRow,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<u64>,
    },
    /// The link is now this.
    LinkChanged { code: String, link: LinkRow },
    /// The link is gone; its code leads nowhere from now on.
    LinkDeleted { code: String, link: Id, owner: Id },
    /// An operator did what makes no other rows than the audit line: it stands in [`Record::audit`].
    Operated,
    /// A post answers, passes on or names people of the partition in which this stands: that share of `Posted`, in
    /// derived records alone. The post is the record that they follow from.
    Referred {
        author: Id,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<PostRef>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        repost_of: Option<PostRef>,
        bare_repost: bool,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notify: Vec<Notice>,
    },
    /// The account that somebody of another partition follows was gone when that was told here: they follow nobody.
    /// It stands in derived records alone.
    FollowRefused(EndedFollow),
    /// `by` asks people to talk, or to join a conversation, or added them to it: that share of a record of chat, in
    /// derived records alone.
    Approached {
        by: Id,
        conversation: Id,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        asked: Vec<Id>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        added: Vec<Id>,
    },
    /// A record of another partition changes something for people of this one.
    Derived(Derived),
}

/// Share of an event that concerns people of another partition than its actor's, told there once more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derived {
    /// Record that it follows from.
    pub from: SourceRecord,
    /// Partition in which it stands: rows of its people are written, and of nobody else.
    pub to: u16,
    /// Event, as far as it concerns them; nothing where whom it concerned is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Box<Event>>,
}

/// Record from which one in another partition follows. Within a partition ids rise, so they number what is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// Partition of the record.
    pub partition: u16,
    /// Id of the record: rows that others know by it keep it as their key.
    pub id: Id,
    /// The record of that partition that was taken before this one: so a repeat shows, and one that comes too early.
    pub after: Id,
}

/// Nothing that happened.
static NOTHING: Event = Event::Operated;

/// Part of a person in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// Person who does it.
    Actor,
    /// Person to whom, or to whose things, it is done.
    Other,
}

impl Event {
    /// Fact that it tells: of what is derived, the effect.
    #[must_use]
    pub fn told(&self) -> &Self {
        match self {
            Self::Derived(derived) => derived.effect.as_deref().unwrap_or(&NOTHING),
            event => event,
        }
    }

    /// Fact that views hear of. What is derived they heard of at its source, and hear again where something was decided
    /// here, or where rows that caches hold are written only now.
    #[must_use]
    pub fn news(&self) -> &Self {
        match self {
            Self::Derived(_) => match self.told() {
                news @ (Self::Blocked { .. } | Self::Unblocked { .. } | Self::FollowRefused(_)) => news,
                _ => &NOTHING,
            },
            event => event,
        }
    }

    /// Follows that a block ended, as far as its record decided so: of one that is derived, the follow of who is
    /// blocked, for the other was ended with the source.
    pub fn ended(&self) -> impl Iterator<Item = EndedFollow> {
        let (ended, of): (&[EndedFollow], _) = match (self.told(), self) {
            (Self::Blocked { blocked, ended, .. }, Self::Derived(_)) => (ended, Some(*blocked)),
            (Self::Blocked { ended, .. }, _) => (ended, None),
            _ => (&[], None),
        };
        ended.iter().copied().filter(move |edge| of.is_none_or(|of| edge.follower == of))
    }

    /// Person who does it, in whose partition its record stands; nobody for what operators do, and for what is derived.
    #[must_use]
    pub fn actor(&self) -> Option<Id> {
        Some(match self {
            Self::UserCreated { user } | Self::ProfileChanged { user, .. } | Self::UserDeleted { user } => user.id,
            Self::Suspended { user, .. }
            | Self::Unsuspended { user }
            | Self::Liked { user, .. }
            | Self::Unliked { user, .. } => *user,
            Self::Followed { follower, .. } => *follower,
            Self::Unfollowed(edge) | Self::FollowRefused(edge) => edge.follower,
            Self::Blocked { blocker, .. } | Self::Unblocked { blocker, .. } => *blocker,
            Self::Muted { muter, .. } | Self::Unmuted { muter, .. } => *muter,
            Self::Posted { post, .. } => post.author,
            Self::PostDeleted { author, .. } | Self::Referred { author, .. } => *author,
            Self::Approached { by, .. } => *by,
            Self::LiveAnnounced { host, .. }
            | Self::LiveEdited { host, .. }
            | Self::LiveStarted { host, .. }
            | Self::LiveEnded { host, .. }
            | Self::LiveRemoved { host, .. }
            | Self::LiveReminded { host, .. } => *host,
            Self::LinkCreated { link, .. } | Self::LinkChanged { link, .. } => link.owner,
            Self::LinkDeleted { owner, .. } => *owner,
            // What an id was claimed for is decided where that is.
            Self::IdBurnt { .. } | Self::Operated | Self::Derived(_) => return None,
        })
    }

    /// People whose accounts must be there for the event to happen.
    pub fn parties(&self) -> impl Iterator<Item = (Id, Party)> {
        let (actor, other) = match self {
            Self::UserCreated { user } | Self::ProfileChanged { user, .. } | Self::UserDeleted { user } => {
                (Some(user.id), None)
            }
            Self::Followed { follower, followee, .. } => (Some(*follower), Some(*followee)),
            Self::LiveAnnounced { host, .. } | Self::LiveEdited { host, .. } | Self::LiveStarted { host, .. } => {
                (Some(*host), None)
            }
            Self::Blocked { blocker, blocked, .. } => (Some(*blocker), Some(*blocked)),
            Self::Muted { muter, muted } => (Some(*muter), Some(*muted)),
            Self::Posted { post, .. } => (Some(post.author), None),
            Self::Liked { user, post } => (Some(*user), Some(post.author)),
            Self::Suspended { user, .. } => (None, Some(*user)),
            Self::LinkCreated { link, .. } | Self::LinkChanged { link, .. } => (Some(link.owner), None),
            // They end something: the purge itself does so.
            _ => (None, None),
        };
        let actor = actor.map(|person| (person, Party::Actor));
        actor.into_iter().chain(other.map(|person| (person, Party::Other)))
    }

    /// Whether it only ends something: taken also when the disk is as good as full.
    #[must_use]
    pub fn only_ends(&self) -> bool {
        matches!(
            self,
            Self::UserDeleted { .. }
                | Self::PostDeleted { .. }
                | Self::Unfollowed(_)
                | Self::Unblocked { .. }
                | Self::Unmuted { .. }
                | Self::Unliked { .. }
                | Self::Suspended { .. }
                | Self::Unsuspended { .. }
                // What it follows from stands already.
                | Self::Derived(_)
                | Self::LiveEnded { .. }
                | Self::LiveRemoved { .. }
                | Self::LinkDeleted { .. }
        )
    }

    /// Bound of what a record of the event takes, whatever the state that it is folded over.
    fn weight(&self) -> Weight {
        const RECORD: Weight = Weight { bytes: 4_096, rows: 32 };
        /// Deed that can be taken back: a group with people known apart, and those who took it back, of format 1 all
        /// in one row. It stands in the record too.
        const NOTICE: Weight = Weight { bytes: 12_288, rows: 8 };
        /// Answer: words are news each time, and remembered of nobody.
        const REPLY: Weight = Weight { bytes: 6_144, rows: 8 };
        /// Mention: all are by one person.
        const MENTION: Weight = Weight { bytes: 2_560, rows: 8 };
        const ENDED: Weight = Weight { bytes: 2_048, rows: 16 };
        /// Row of a list, and the list's state.
        const APPROACH: Weight = Weight { bytes: 1_024, rows: 2 };
        /// Live session: it stands in the record, in the outcome and in two rows, with an address and every plan.
        const SESSION: Weight = Weight { bytes: 24_576, rows: 16 };
        const ORIGIN: Weight = Weight { bytes: 256, rows: 0 };
        const NOTHING: Weight = Weight { bytes: 0, rows: 0 };
        let notice = |notice: &Notice| match notice.kind {
            NotificationKind::Mention => MENTION,
            NotificationKind::Reply => REPLY,
            _ => NOTICE,
        };
        match self {
            Self::UserCreated { user } | Self::UserDeleted { user } => RECORD.and(profile(user, None)),
            Self::ProfileChanged { user, old_display_name } => {
                RECORD.and(profile(user, old_display_name.as_deref()).times(2))
            }
            Self::Posted { post, notify } => {
                let media = post.media.iter().map(|media| 2_048 + media.alt.as_ref().map_or(0, |alt| text(alt).bytes));
                let links = post.links.iter().map(|link| text(link).bytes + 16);
                // A mention and an id, in both.
                let lists = 256 * post.mentions.len() + 64 * post.told.len().max(notify.len());
                let bytes = media.chain(links).sum::<usize>() + text(&post.text).bytes + lists;
                let notices = notify.iter().map(notice).fold(Weight::default(), Weight::and);
                RECORD.and(Weight { bytes, rows: 0 }).and(notices)
            }
            Self::PostDeleted { mentioned, told, reply_to, repost_of, .. } => {
                let lists = Weight { bytes: 32 * (mentioned.len() + told.len()), rows: 0 };
                let reply = REPLY.times(usize::from(reply_to.is_some()));
                let repost = NOTICE.times(usize::from(repost_of.is_some()));
                let mentions = MENTION.times(mentioned.len().min(limits::POST_NOTICES_MAX));
                RECORD.and(lists).and(reply).and(repost).and(mentions)
            }
            Self::Liked { .. } | Self::Unliked { .. } | Self::Followed { .. } => RECORD.and(NOTICE),
            Self::Unfollowed(_) => RECORD.and(NOTICE).and(ENDED),
            Self::Blocked { ended, .. } => RECORD.and(NOTICE.and(ENDED).times(ended.len())),
            Self::Suspended { reason, .. } => RECORD.and(text(reason)),
            Self::Referred { notify, .. } => notify.iter().map(notice).fold(RECORD, Weight::and),
            Self::Derived(derived) => derived.effect.as_ref().map_or(RECORD, |effect| effect.weight().and(ORIGIN)),
            Self::LiveAnnounced { .. }
            | Self::LiveEdited { .. }
            | Self::LiveStarted { .. }
            | Self::LiveEnded { .. }
            | Self::LiveRemoved { .. } => RECORD.and(SESSION),
            Self::LiveReminded { people, .. } => RECORD.and(MENTION.times(people.len())),
            Self::Approached { asked, added, .. } => RECORD.and(APPROACH.times(asked.len() + added.len())),
            Self::LinkCreated { link, .. } | Self::LinkChanged { link, .. } => {
                RECORD.and(text(&link.url)).and(link.made.as_ref().map_or(NOTHING, |made| text(&made.url)))
            }
            _ => RECORD,
        }
    }
}

/// Bound of a text that stands in a record and in a row: JSON doubles some characters.
const fn text(text: &str) -> Weight {
    Weight { bytes: 4 * text.len(), rows: 0 }
}

/// Bound of a profile, with the names by which a person is found.
fn profile(user: &UserRow, old_name: Option<&str>) -> Weight {
    let names = user.handle.len() + user.display_name.as_ref().map_or(0, String::len) + old_name.map_or(0, str::len);
    Weight { bytes: 16 * names + text(&user.bio).bytes, rows: 0 }
}

/// Bound of what a record takes, with its outcome and its rows: it is known before the record is folded.
#[must_use]
pub fn weight(event: &Event, idempotency: Option<&IdempotencyKey>, audit: Option<&Act>) -> Weight {
    // In the record, in a row, and in the row that expires it.
    let key = idempotency.map_or(0, |key| 512 + 6 * (key.key.len() + key.route.len() + key.body_hash.len()));
    let act = audit
        .map_or(0, |act| 512 + text(&act.target).bytes + act.reason.as_ref().map_or(0, |reason| text(reason).bytes));
    event.weight().and(Weight { bytes: key + act, rows: 0 })
}

/// Size of a record, with its outcome and its rows: what it takes, at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weight {
    /// Bytes of the record and of the rows.
    pub bytes: usize,
    /// Rows.
    pub rows: usize,
}

impl Weight {
    /// Sum of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_add(other.bytes), rows: self.rows.saturating_add(other.rows) }
    }

    /// Weight of so many of the same.
    #[must_use]
    pub const fn times(self, count: usize) -> Self {
        Self { bytes: self.bytes.saturating_mul(count), rows: self.rows.saturating_mul(count) }
    }
}

/// Somebody to notify of a post, decided (blocks, mutes) when the post was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Person to notify.
    pub user: Id,
    /// Why.
    pub kind: NotificationKind,
}

/// A request that may come twice: scoped to caller and route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyKey {
    /// Person who sent it.
    pub caller: Id,
    /// Route, such as `POST /v1/posts`.
    pub route: String,
    /// Key that the client chose, up to 255 bytes.
    pub key: String,
    /// SHA-256 of the body, hexadecimal.
    pub body_hash: String,
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Minted by the owner: rises in commit order; consumers drop repeats by it.
    pub id: Id,
    /// Fact.
    #[serde(flatten)]
    pub event: Event,
    /// Stored with the effect, in one commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<IdempotencyKey>,
    /// Line of an import that is done once this record is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import_line: Option<u64>,
    /// The operator whose act this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Act>,
}

impl Record {
    /// Id under which what it tells is known: that of the record which said it first. Rows are keyed by it; their
    /// version is the id of the record that writes them. What another family says is known by the record here: its
    /// horizon is another, so a reader may be past the id that it has there.
    #[must_use]
    pub fn known_as(&self) -> Id {
        match &self.event {
            Event::Derived(Derived { effect, from, .. }) if !is_of_chat(effect.as_deref()) => from.id,
            _ => self.id,
        }
    }
}

/// Whether an effect follows from a record of chat, and not of people.
const fn is_of_chat(effect: Option<&Event>) -> bool {
    matches!(effect, Some(Event::Approached { .. }))
}
