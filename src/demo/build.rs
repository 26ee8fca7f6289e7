//! Acts the past of the sample world through the services, as of the times at which it is said to have happened.
//!
//! Records are handed to the owner in order of time without waiting for each, so that many share a commit; only who
//! reacts to a post waits until it is durable.

use futures_util::future::{BoxFuture, LocalBoxFuture};
use std::collections::{HashMap, VecDeque};
use std::f64::consts::TAU;
use std::net::Ipv4Addr;

use bytes::Bytes;
use fanfare_engines::{Batch, RowKey};
use fanfare_protocol::{Id, NewPost, NewUser, PatchUser};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::town::{Deed, Doing, Town};
use super::world::{Person, World};
use super::{DEMO_HANDLE, DEMO_PASSWORD, SEED, links, picture};
use crate::app::App;
use crate::base::error::{Error, Result};
use crate::base::handle::Handle;
use crate::data::tables;
use crate::data::uncounted::Of;
use crate::log::events::{Event, PostRef};
use crate::log::handle::{Pending, Proposal};
use crate::media::Upload;

/// Days of posts that lie behind the demo when it starts.
const PAST_DAYS: u64 = 5;
/// Days before that over which people joined.
const JOINED_DAYS: u64 = 60;
/// Acts of the past: posts, replies, reposts, likes.
const PAST_ACTS: usize = 9_000;
/// Hours before the start from which on posts have pictures.
const PICTURE_HOURS: u64 = 24;
/// Milliseconds before the start at which the newcomer says hello.
const HELLO_AGO_MS: u64 = 3 * 3_600_000;
/// Posts of the past that a world which is opened again goes on from.
const REMEMBERED_POSTS: usize = 100;
/// Calls and records under way at once: they share commits.
const AT_ONCE: usize = 512;
/// Key of the mark that the world is complete, in the `meta` table.
const META_DEMO: Bytes = Bytes::from_static(b"demo_world");

const DAY_MS: u64 = 86_400_000;

/// The sample world as it stands in a server.
pub struct Sample {
    /// Town: who does what next.
    pub town: Town,
    /// Accounts, by index of the person.
    pub people: Vec<Id>,
    /// Posts, by number; `None` for one that is on its way or failed.
    pub posts: Vec<Option<Id>>,
}

/// Moment at which the first people joined, in milliseconds, for a demo that starts at `now_ms`: a server that builds
/// the world starts with its clock there.
#[must_use]
pub fn begin_ms(now_ms: u64) -> u64 {
    now_ms - (PAST_DAYS + JOINED_DAYS) * DAY_MS
}

fn mark() -> RowKey {
    RowKey::new(tables::META, tables::ONE, META_DEMO)
}

/// Content of a data folder when a demo opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing: a world can be made in it.
    Nothing,
    /// A sample world that was made before.
    World,
}

/// Looks what the data folder holds.
///
/// # Errors
/// 409 when the folder holds something else, or a world that was never finished, or whose newcomer is gone; otherwise
/// when storage fails.
pub fn find(app: &App, now_ms: u64) -> BoxFuture<'_, Result<Found>> {
    Box::pin(async move {
        let refused = |detail| Err(Error::refused(fanfare_protocol::Code::Conflict, detail));
        if app.core().store.get(&mark()).await?.is_some() {
            if app.core().store.by_handle(DEMO_HANDLE).await?.is_none() {
                return refused(
                    "the demo person of this sample world has no account any more; choose an empty --data-dir",
                );
            }
            return Ok(Found::World);
        }
        if app.core().log.newest() >= crate::base::id::first_id_at(begin_ms(now_ms)) {
            return refused(
                "the data folder holds something that is no finished sample world; choose an empty --data-dir",
            );
        }
        Ok(Found::Nothing)
    })
}

/// The sample world of this data folder, made or gone on with as [`find`] said.
///
/// # Errors
/// When storage fails.
pub fn open(app: &App, found: Found, now_ms: u64) -> LocalBoxFuture<'_, Result<Sample>> {
    Box::pin(async move {
        if found == Found::World {
            app.core().clock.let_go();
            return remember(app).await;
        }
        let begin_ms = begin_ms(now_ms);
        let world = World::new(SEED);
        let people = join(app, &world, begin_ms).await?;
        let past_ms = now_ms - PAST_DAYS * DAY_MS;
        connect(app, &world, &people, past_ms).await?;
        let mut past = Past::new(app, Sample { town: Town::new(world, SEED), people, posts: Vec::new() });
        past.happen(now_ms).await?;
        let sample = past.sample;
        let mut batch = Batch::default();
        batch.put_versioned(mark(), SEED.to_be_bytes().to_vec(), 1);
        app.core().store.write(batch).await?;
        app.core().clock.let_go();
        links::make(app, sample.people[sample.town.world.demo()]).await?;
        Ok(sample)
    })
}

/// Makes everybody's account; answers their ids in the same order.
async fn join(app: &App, world: &World, begin_ms: u64) -> Result<Vec<Id>> {
    let step_ms = JOINED_DAYS * DAY_MS / world.people.len() as u64;
    stream::iter(world.people.iter().enumerate())
        .map(|(index, person)| {
            let at_ms = begin_ms + index as u64 * step_ms;
            async move {
                let id = if world.is_played(index) {
                    register(app, person).await?
                } else {
                    make(app, person, at_ms).await?
                };
                let patch = PatchUser { bio: Some(Some(person.bio.clone())), ..PatchUser::default() };
                app.users().patch(id, patch).await?;
                Ok(id)
            }
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

async fn make(app: &App, person: &Person, at_ms: u64) -> Result<Id> {
    let handle = Handle::parse(&person.handle).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(app.users().create(&handle, Some(person.name.clone()), None, at_ms).await?.row.id)
}

/// Registers `person`. People whom a newcomer plays have a password; the others need none.
async fn register(app: &App, person: &Person) -> Result<Id> {
    let (handle, password) = (person.handle.clone(), DEMO_PASSWORD.to_owned());
    let new = NewUser { handle, password, display_name: Some(person.name.clone()) };
    let session = app.users().register(new, Ipv4Addr::LOCALHOST.into()).await?;
    Ok(session.user.id)
}

async fn connect(app: &App, world: &World, people: &[Id], at_ms: u64) -> Result<()> {
    let edges = world
        .follows
        .iter()
        .zip(people)
        .flat_map(|(followees, follower)| followees.iter().map(move |followee| (*follower, people[*followee])));
    app.core().clock.set(at_ms);
    stream::iter(edges)
        .map(|(follower, followee)| app.follows().follow_as(follower, followee, Some(at_ms)))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Numbers of people, follows and posts of the sample world now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// People who have an account.
    pub people: u64,
    /// Follows of theirs.
    pub follows: u64,
    /// Posts of theirs.
    pub posts: u64,
}

/// Counts the world as it is, which is not how it was made: people of it have lived since.
///
/// # Errors
/// When storage fails.
pub fn size<'a>(app: &'a App, sample: &'a Sample) -> BoxFuture<'a, Result<Size>> {
    Box::pin(async move {
        let mut size = Size::default();
        for person in sample.people.iter().filter(|person| **person != Id(0)) {
            let [_, follows, posts] = app.core().store.counters(Of::User(*person)).await?.values;
            size = Size { people: size.people + 1, follows: size.follows + follows, posts: size.posts + posts };
        }
        Ok(size)
    })
}

/// Finds a world that was made before.
async fn remember(app: &App) -> Result<Sample> {
    let world = World::new(SEED);
    let mut people = Vec::with_capacity(world.people.len());
    for person in &world.people {
        let account = app.core().store.by_handle(&person.handle.to_ascii_lowercase()).await?;
        people.push(account.map_or(Id(0), |account| account.row.id));
    }
    let (demo, friend) = (world.demo(), world.friend());
    if people[friend] == Id(0) {
        // The world was made when a newcomer played only one person.
        people[friend] = register(app, &world.people[friend]).await?;
        app.follows().follow(people[demo], people[friend]).await?;
        app.follows().follow(people[friend], people[demo]).await?;
    }
    let indexes: HashMap<Id, usize> = people.iter().enumerate().map(|(index, id)| (*id, index)).collect();
    // Another seed than the past's, or the same things would be said again.
    let mut sample = Sample { town: Town::new(world, app.core().clock.now_ms()), people, posts: Vec::new() };
    for post in app.posts().public(None, REMEMBERED_POSTS, None).await?.items.into_iter().rev() {
        if let Some(author) = indexes.get(&post.author.id) {
            sample.town.posted(*author);
            sample.posts.push(Some(post.id));
        }
    }
    Ok(sample)
}

/// Uploads a picture of `owner`, for everybody or for messages; answers its id.
///
/// # Errors
/// When it cannot be made or stored.
pub(super) async fn upload(app: &App, owner: Id, seed: u64, private: bool) -> Result<Id> {
    let drawn = tokio::task::spawn_blocking(move || picture::evening(seed)).await;
    let bytes = drawn.map_err(|error| Error::Internal(format!("a demo picture: {error}")))??;
    let room = app.media().room(owner, bytes.len() as u64)?;
    let upload =
        Upload { filename: Some("evening.png".to_owned()), alt: Some(picture::ALT.to_owned()), private, bytes, room };
    Ok(app.media().upload(owner, upload).await?.id)
}

/// Liveliness of the world at a moment `ago_ms` before the start, between 0 and 1: days have nights, and the demo
/// starts at a lively hour.
fn liveliness(ago_ms: u64) -> f64 {
    0.55 + 0.45 * (TAU * (ago_ms % DAY_MS) as f64 / DAY_MS as f64).cos()
}

/// Acts the past, in order.
struct Past<'a> {
    app: &'a App,
    sample: Sample,
    /// Records on their way, with the number of the post that each makes, if it makes one.
    in_flight: VecDeque<(Option<usize>, Pending)>,
}

impl<'a> Past<'a> {
    fn new(app: &'a App, sample: Sample) -> Self {
        Self { app, sample, in_flight: VecDeque::new() }
    }

    async fn happen(&mut self, now_ms: u64) -> Result<()> {
        let mut agos = Vec::with_capacity(PAST_ACTS);
        while agos.len() < PAST_ACTS {
            let ago_ms = 2_000 + self.sample.town.below(PAST_DAYS * DAY_MS - 4_000);
            if (self.sample.town.below(1_000) as f64) < 1_000.0 * liveliness(ago_ms) {
                agos.push(ago_ms);
            }
        }
        agos.sort_unstable_by(|one, other| other.cmp(one));
        let mut said_hello = false;
        for ago_ms in agos {
            self.sample.town.pictures = ago_ms < PICTURE_HOURS * 3_600_000;
            let act = match !said_hello && ago_ms < HELLO_AGO_MS {
                true => {
                    said_hello = true;
                    let text = "Hello, everybody! This is my first post here.".to_owned();
                    Doing { actor: self.sample.town.world.demo(), what: Deed::Post { text, picture: None } }
                }
                false => self.sample.town.act(),
            };
            self.act(act, now_ms - ago_ms).await?;
        }
        self.settle().await?;
        let feed = self.app.feed().clone();
        let quiet = tokio::task::spawn_blocking(move || feed.quiesce()).await;
        quiet.map_err(|error| Error::Internal(format!("the fan-out failed: {error}")))
    }

    async fn act(&mut self, Doing { actor, what }: Doing, at_ms: u64) -> Result<()> {
        self.app.core().clock.set(at_ms);
        let id = self.sample.people[actor];
        let new = match what {
            Deed::Post { text, picture } => {
                let media_ids = match picture {
                    Some(seed) => vec![upload(self.app, id, seed, false).await?],
                    None => Vec::new(),
                };
                NewPost { text, media_ids, ..NewPost::default() }
            }
            Deed::Reply { to, text } => NewPost { text, reply_to: Some(self.durable(to).await?), ..NewPost::default() },
            Deed::Repost { of, text } => {
                NewPost { text, repost_of: Some(self.durable(of).await?), ..NewPost::default() }
            }
            Deed::Like { of } => {
                let liked = self.durable(of).await?;
                let post = self.app.posts().visible(Some(id), liked).await?;
                let post = PostRef { id: post.id, author: post.author };
                return self.hand_in(id, Event::Liked { user: id, post }, at_ms, None).await;
            }
            Deed::Follow { whom } => {
                return self.app.follows().follow_as(id, self.sample.people[whom], Some(at_ms)).await;
            }
        };
        let post = self.app.posts().draft(id, new).await?;
        let notify = self.app.posts().notices(&post).await?;
        let number = self.sample.town.posted(actor);
        self.sample.posts.push(None);
        self.hand_in(id, Event::Posted { post, notify }, at_ms, Some(number)).await
    }

    async fn hand_in(&mut self, actor: Id, event: Event, at_ms: u64, number: Option<usize>) -> Result<()> {
        let proposal = Proposal { at_ms: Some(at_ms), ..event.into() };
        let guard = self.app.core().log.decide(actor, &[]).await?;
        match self.app.core().log.submit(&guard, proposal).await {
            Ok(pending) => self.in_flight.push_back((number, pending)),
            // What was handed in before is told of, as done or not.
            Err(error) => return self.settle().await.and(Err(error)),
        }
        if self.in_flight.len() >= AT_ONCE { self.settle().await } else { Ok(()) }
    }

    /// Waits until nothing is under way, also when something fails.
    async fn settle(&mut self) -> Result<()> {
        let mut outcome = Ok(());
        while let Some((number, pending)) = self.in_flight.pop_front() {
            match (pending.durable().await, number) {
                (Ok(record), Some(number)) => self.sample.posts[number] = Some(record.id),
                (Ok(_), None) => {}
                (Err(error), _) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }

    /// The id of a post, once it is durable.
    async fn durable(&mut self, number: usize) -> Result<Id> {
        if self.sample.posts[number].is_none() {
            self.settle().await?;
        }
        self.sample.posts[number].ok_or_else(|| Error::Internal("a post of the demo is not there".to_owned()))
    }
}
