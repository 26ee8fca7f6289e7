//! `fanfare import --access-log`: links of the paths of an access log, and clicks of its lines.

use std::path::Path;

use fanfare::app::App;
use fanfare::base::clock::Clock;
use fanfare::base::error::Error;
use fanfare::base::logging;
use fanfare::base::output::say;
use fanfare::config::Settings;
use fanfare::import::access_log::{self, Hit};
use fanfare::import::lines::{self, Lines};
use fanfare::import::recount::{Compared, Recount};
use fanfare::import::visits::{Added, Visits, source_of};
use fanfare::serve;

use super::import::{Skipped, unreadable};
use super::progress::Progress;
use super::{Failure, block_on};

/// Lines between two looks at how far it is.
const LINES_PER_LOOK: u64 = 500;
/// Differences that are printed; further ones are only counted.
const REPORTED_MAX: usize = 20;

/// Access log that is imported, and whose links it becomes.
pub(super) struct AccessLog<'a> {
    pub(super) file: &'a Path,
    pub(super) site: &'a str,
    pub(super) user: &'a str,
    pub(super) verify: bool,
}

pub(super) fn run(settings: &Settings, log: &AccessLog<'_>) -> Result<(), Failure> {
    let logging = logging::start(&settings.log.level, settings.log.format);
    let first_ms = first_hit(log.file)?;
    block_on(settings, async {
        let running = serve::open(settings, Clock::by_hand(first_ms), logging).await?;
        let app = running.app.clone();
        let outcome = import(&app, log, first_ms).await;
        drop(app);
        running.stop().await;
        outcome
    })
}

/// Earliest moment of a line that can be read: links are made then.
fn first_hit(file: &Path) -> Result<u64, Failure> {
    let mut lines = Lines::bare(file).map_err(unreadable(file))?;
    let mut first: Option<u64> = None;
    while let Some((_, line)) = lines.next_line().map_err(unreadable(file))? {
        if let Ok(Hit { at_ms, .. }) = line.and_then(|line| access_log::hit(&line)) {
            first = Some(first.map_or(at_ms, |first| first.min(at_ms)));
        }
    }
    first.ok_or_else(|| Failure::Failed(format!("{}: no line of it can be read as a request", file.display())))
}

async fn import(app: &App, log: &AccessLog<'_>, first_ms: u64) -> Result<(), Failure> {
    let (digest, total) = lines::digest(log.file).map_err(unreadable(log.file))?;
    let mut visits = Visits::open(app.clone(), log.site, log.user, source_of(&digest), first_ms).await?;
    let mut recount = Recount::new()?;
    let mut progress = Progress::start("visits", total);
    let mut skipped = Skipped::of(log.file);
    let mut lines = Lines::bare(log.file).map_err(unreadable(log.file))?;
    let (mut clicks, mut others) = (0_u64, 0_u64);
    while let Some((number, line)) = lines.next_line().map_err(unreadable(log.file))? {
        match line.and_then(|line| access_log::hit(&line).map(|hit| (line, hit))) {
            Ok((line, hit)) => match visits.add(number, &hit).await {
                Ok(Added::Click) => {
                    clicks += 1;
                    recount.add(&line);
                }
                Ok(Added::NoVisit) => others += 1,
                Err(Error::Refused(problem)) => skipped.say(&progress, number, &problem.detail),
                Err(error) => return Err(error.into()),
            },
            Err(why) => skipped.say(&progress, number, &why),
        }
        if number.is_multiple_of(LINES_PER_LOOK) {
            progress.at(number, String::new);
        }
    }
    visits.finish().await?;
    progress.finish(total, "");
    let links = visits.links().len();
    say(format_args!(
        "{clicks} clicks on {links} links; {others} requests that are no visits; {} lines skipped",
        skipped.count()
    ))?;
    if log.verify { verify(app, &visits, &recount).await } else { Ok(()) }
}

/// Compares every minute, referrer and browser of every link with the recount; fails on a difference.
async fn verify(app: &App, visits: &Visits, recount: &Recount) -> Result<(), Failure> {
    let Compared { links, clicks, numbers, differences } = recount.compare(app, visits.links()).await?;
    for difference in differences.iter().take(REPORTED_MAX) {
        say(difference)?;
    }
    let different = differences.len();
    say(format_args!("verified: {numbers} numbers of {clicks} clicks on {links} links; {different} differ"))?;
    match different {
        0 => Ok(()),
        _ => Err(Failure::Failed(format!("{different} numbers differ from a recount of the file"))),
    }
}
