//! A short link of each line of a file, made through the service.
//!
//! Each line carries an idempotency key of the file's content and the line's number: a run that was cut off can be
//! begun again within a day, and makes what is missing.

use fanfare_protocol::{Id, NewLink};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream;
use sha2::{Digest as _, Sha256};

use crate::app::App;
use crate::base::error::{Error, Result};
use crate::base::network::Network;
use crate::links::service::MadeLink;
use crate::log::events::IdempotencyKey;

/// Links under way at once: they share commits.
const AT_ONCE: usize = 256;
/// Seconds before a line is tried again when more links are made than there may be.
const PAUSE_S: u64 = 1;

/// Counts of lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UrlTally {
    /// Links that were made.
    pub made: u64,
    /// Links that an earlier run had made.
    pub there: u64,
    /// Lines that are no address, or one that must not be linked to.
    pub skipped: u64,
}

/// Fate of a line.
enum Fate {
    Made,
    There,
    Skipped(String),
}

/// Makes a link of `owner` for each of `lines`, which have numbers and are of a file with the digest `file`; `skipped`
/// hears of those of which there is none, `at` of how far it is.
///
/// # Errors
/// When storage fails.
pub async fn shorten(
    app: &App,
    owner: Id,
    file: &str,
    lines: impl Iterator<Item = (u64, Result<String, String>)>,
    mut skipped: impl FnMut(u64, &str),
    mut at: impl FnMut(u64),
) -> Result<UrlTally> {
    let mut tally = UrlTally::default();
    let one = |(number, line)| async move { (number, make(app, owner, file, number, line).await) };
    let mut fates = stream::iter(lines).map(one).buffered(AT_ONCE);
    while let Some((number, fate)) = fates.next().await {
        match fate? {
            Fate::Made => tally.made += 1,
            Fate::There => tally.there += 1,
            Fate::Skipped(why) => {
                tally.skipped += 1;
                skipped(number, &why);
            }
        }
        at(number);
    }
    Ok(tally)
}

fn make<'a>(
    app: &'a App,
    owner: Id,
    file: &'a str,
    number: u64,
    line: Result<String, String>,
) -> BoxFuture<'a, Result<Fate>> {
    Box::pin(async move {
        let url = match line {
            Ok(url) => url,
            Err(why) => return Ok(Fate::Skipped(why)),
        };
        let digest = Sha256::digest(url.as_bytes());
        let body_hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let here = Network::V4(std::net::Ipv4Addr::LOCALHOST);
        loop {
            let (route, key) = ("import urls".to_owned(), format!("{file}/{number}"));
            let key = IdempotencyKey { caller: owner, route, key, body_hash: body_hash.clone() };
            match app.links().create(owner, NewLink::to(&url), Some(key), here).await {
                Ok(MadeLink::New(_)) => return Ok(Fate::Made),
                Ok(MadeLink::Replayed(_)) => return Ok(Fate::There),
                // Deleted since an earlier run made it.
                Err(error) if error.is_gone() => return Ok(Fate::There),
                Err(Error::Refused(problem)) => return Ok(Fate::Skipped(problem.detail)),
                Err(Error::Overloaded { .. }) => tokio::time::sleep(std::time::Duration::from_secs(PAUSE_S)).await,
                Err(error) => return Err(error),
            }
        }
    })
}
