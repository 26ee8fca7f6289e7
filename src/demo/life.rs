//! Life after the start: people go on acting through the services, a few times a second, and read their feeds.

use futures_util::future::{BoxFuture, LocalBoxFuture};
use std::collections::HashSet;
use std::f64::consts::TAU;
use std::time::{Duration, Instant};

use fanfare_protocol::{Id, NewPost};
use futures_util::stream::{self, StreamExt as _};

use super::build::{Sample, upload};
use super::chatter::Chatter;
use super::links;
use super::town::{Deed, Doing};
use crate::app::App;
use crate::base::error::{Error, Result};
use crate::base::limits::http::PAGE_ITEMS_DEFAULT;
use crate::feed::PageQuery;
use crate::posts::service::Publication;

/// Acts a second, on average; a little less than half of them are posts.
const ACTS_PER_S: f64 = 6.0;
/// Part of [`ACTS_PER_S`] that comes and goes with the hour.
const RHYTHM: f64 = 0.7;
/// Seconds of a day of the demo, so that one sees it pass.
const DAY_S: f64 = 300.0;
/// Acts for which one person reads.
const ACTS_PER_READ: u64 = 2;
/// Per cent of the people whose timelines are there from the start.
const AWAKE_PERCENT: usize = 60;
/// Feeds read at once in the morning.
const READS_AT_ONCE: usize = 16;
/// Posts whose ids are kept; a town reacts only to the newest.
const POSTS_KEPT_MAX: usize = 4_096;
/// Acts after which people look for posts of newcomers.
const ACTS_PER_LOOK: u64 = 8;
/// Acts for which one visitor follows a short link.
const ACTS_PER_VISIT: u64 = 2;
/// Newest public posts that they look at.
const LOOKED_AT: usize = 20;
/// Acts for which somebody says something in a conversation of the newcomer's.
const ACTS_PER_LINE: u64 = 16;
/// Pause after storage has failed.
const PAUSE: Duration = Duration::from_secs(5);

/// Lets most people read once, so that there are timelines to push into.
///
/// # Errors
/// When storage fails.
pub fn wake<'a>(app: &'a App, sample: &'a Sample) -> LocalBoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let awake = sample.people.len() * AWAKE_PERCENT / 100;
        let mut reads = stream::iter(sample.people.iter().rev().take(awake))
            .map(|reader| app.feed().page(*reader, first_page()))
            .buffer_unordered(READS_AT_ONCE);
        while let Some(read) = reads.next().await {
            read?;
        }
        Ok(())
    })
}

fn first_page() -> PageQuery {
    PageQuery { limit: usize::from(PAGE_ITEMS_DEFAULT), ..PageQuery::default() }
}

/// Milliseconds until the next act, `passed_s` seconds after the start: on average the rate of the hour, and never
/// even.
fn gap(passed_s: f64, chance: f64) -> Duration {
    let rate = ACTS_PER_S * (1.0 + RHYTHM * (TAU * passed_s / DAY_S).sin());
    Duration::from_secs_f64((-(1.0 - chance).ln() / rate).min(2.0))
}

/// Goes on until it is aborted.
pub fn go_on(app: App, mut sample: Sample) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let started = Instant::now();
        sample.town.played_act = false;
        sample.town.pictures = true;
        let mut first = sample.posts.len().saturating_sub(POSTS_KEPT_MAX);
        let world: HashSet<Id> = sample.people.iter().take(sample.town.world.friend()).copied().collect();
        let mut seen = app.core().log.last_minted();
        let mut chatter = match Chatter::open(&app, &sample).await {
            Ok(chatter) => Some(chatter),
            Err(error) => {
                tracing::warn!(%error, "nobody talks in this demo");
                None
            }
        };
        for number in 0_u64.. {
            let chance = sample.town.below(1_000) as f64 / 1_000.0;
            tokio::time::sleep(gap(started.elapsed().as_secs_f64(), chance)).await;
            match act(&app, &mut sample).await {
                Ok(()) | Err(Error::Refused(_)) => {}
                Err(error) => {
                    tracing::warn!(%error, "the demo pauses");
                    tokio::time::sleep(PAUSE).await;
                }
            }
            if number % ACTS_PER_READ == 0 {
                let reader = sample.people[sample.town.reader()];
                if let Err(error) = app.feed().page(reader, first_page()).await {
                    tracing::warn!(%error, "a feed of the demo cannot be read");
                }
            }
            if number % ACTS_PER_VISIT == 0
                && let Err(error) = links::visit(&app, &mut sample).await
            {
                tracing::debug!(%error, "a link of the demo was not followed");
            }
            if number % ACTS_PER_LOOK == 0
                && let Err(error) = notice(&app, &mut sample, &world, &mut seen).await
            {
                tracing::warn!(%error, "posts of newcomers cannot be read");
            }
            if number % ACTS_PER_LINE == 0
                && let Some(chatter) = &mut chatter
                && let Err(error) = chatter.say(&app).await
            {
                tracing::debug!(%error, "somebody could not say something");
            }
            // Numbers go on; what they stood for is let go.
            while first < sample.posts.len().saturating_sub(POSTS_KEPT_MAX) {
                sample.posts[first] = None;
                first += 1;
            }
        }
    })
}

/// Tells the town of what newcomers posted since `seen`, so that people answer it.
async fn notice(app: &App, sample: &mut Sample, world: &HashSet<Id>, seen: &mut Id) -> Result<()> {
    let posts = app.posts().public(None, LOOKED_AT, None).await?.items;
    for post in posts.iter().rev().filter(|post| post.id > *seen && !world.contains(&post.author.id)) {
        // To the town every newcomer is the demo person, or the friend.
        let (demo, friend) = (sample.town.world.demo(), sample.town.world.friend());
        sample.town.posted(if post.author.id == sample.people[friend] { friend } else { demo });
        sample.posts.push(Some(post.id));
    }
    *seen = posts.first().map_or(*seen, |newest| newest.id.max(*seen));
    Ok(())
}

async fn act(app: &App, sample: &mut Sample) -> Result<()> {
    let Doing { actor, what } = sample.town.act();
    let id = sample.people[actor];
    let mut about = None;
    let outcome = match what {
        Deed::Post { text, picture } => {
            let media_ids = match picture {
                Some(seed) => vec![upload(app, id, seed, false).await?],
                None => Vec::new(),
            };
            publish(app, sample, actor, NewPost { text, media_ids, ..NewPost::default() }).await
        }
        Deed::Reply { to, text } => {
            about = Some(to);
            let reply_to = sample.posts[to];
            publish(app, sample, actor, NewPost { text, reply_to, ..NewPost::default() }).await
        }
        Deed::Repost { of, text } => {
            about = Some(of);
            let repost_of = sample.posts[of];
            publish(app, sample, actor, NewPost { text, repost_of, ..NewPost::default() }).await
        }
        Deed::Like { of } => {
            about = Some(of);
            match sample.posts[of] {
                Some(post) => app.posts().like(id, post).await.map(|_| ()),
                None => Ok(()),
            }
        }
        Deed::Follow { whom } => app.follows().follow(id, sample.people[whom]).await.map(|_| ()),
    };
    // Somebody deleted it (the newcomer, say): nobody needs to run into that again.
    if let (Err(Error::Refused(_)), Some(number)) = (&outcome, about) {
        sample.town.lost(number);
    }
    outcome
}

async fn publish(app: &App, sample: &mut Sample, actor: usize, new: NewPost) -> Result<()> {
    if let Publication::New(post) = app.posts().publish(sample.people[actor], new, None).await? {
        sample.town.posted(actor);
        sample.posts.push(Some(post.id));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_follow_the_hour_and_stay_short() {
        let mean =
            |passed_s: f64| (0..1_000).map(|n| gap(passed_s, n as f64 / 1_000.0).as_secs_f64()).sum::<f64>() / 1e3;
        let (noon, night) = (mean(DAY_S / 4.0), mean(DAY_S * 3.0 / 4.0));
        assert!(noon < 0.12 && night > 0.4 && night < 0.7, "{noon} {night}");
    }
}
