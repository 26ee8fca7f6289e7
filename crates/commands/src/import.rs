//! `fanfare import`: a real graph and its activity through the real pipeline.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use fanfare::app::App;
use fanfare::base::clock::Clock;
use fanfare::base::error::Error;
use fanfare::base::id::{first_id_at, unix_ms_of};
use fanfare::base::logging;
use fanfare::base::output::say;
use fanfare::config::Settings;
use fanfare::import::graph::People;
use fanfare::import::lines::{self, Activity, Lines};
use fanfare::import::replay::{Replayer, Tally, replayed};
use fanfare::import::{report, verify};
use fanfare::serve;
use fanfare_protocol::Id;

use super::ahead::Ahead;
use super::args::{ImportArgs, Speed};
use super::progress::Progress;
use super::visits::{self, AccessLog};
use super::{Failure, block_on, talk, urls};

const FOLLOWS_HEADER: &str = "follower\tfollowee";
const ACTIVITY_HEADER: &str = "actor\ttarget\tunixtime\tkind";
/// Lines of the follows that are loaded together.
const BLOCK_LINES: usize = 4_096;
/// Lines that cannot be read and are printed; further ones are only counted.
const REPORTED_LINES_MAX: u64 = 20;
/// Handle of the person whom the links of an access log belong to, where none is named.
const IMPORTER: &str = "import";
/// Entries of a page while verifying: more than a page of the API, and no divisor of the ring.
const VERIFY_PAGE: usize = 77;

pub(super) fn run(settings: &Settings, args: &ImportArgs) -> Result<(), Failure> {
    if let (Some(file), Some(user)) = (&args.urls, &args.user) {
        return urls::run(settings, file, user);
    }
    if let (Some(file), Some(site)) = (&args.access_log, &args.site) {
        let user = args.user.as_deref().unwrap_or(IMPORTER);
        return visits::run(settings, &AccessLog { file, site, user, verify: args.verify > 0 });
    }
    if let Some(file) = &args.chat {
        return talk::run(settings, file, args.verify > 0);
    }
    let (Some(follows), Some(activity)) = (&args.follows, &args.activity) else {
        let files = "name the files with --follows and --activity, or with --urls, --access-log or --chat";
        return Err(Failure::Usage(files.to_owned()));
    };
    let args = &Replayed { follows, activity, speed: args.speed, readers: args.readers, verify: args.verify };
    let log = logging::start(&settings.log.level, settings.log.format);
    let first_ms = first_act(args.activity)?;
    block_on(settings, async {
        // Nothing has a moment of the first act before it.
        let clock = Clock::by_hand(made_ms(first_ms));
        let running = serve::open(settings, clock, log).await?;
        let app = running.app.clone();
        let outcome = import(&app, args, first_ms).await;
        drop(app);
        running.stop().await;
        outcome
    })
}

/// A graph and its days, and how they are replayed.
struct Replayed<'a> {
    follows: &'a Path,
    activity: &'a Path,
    speed: Speed,
    readers: u8,
    verify: usize,
}

pub(super) fn unreadable(path: &Path) -> impl Fn(io::Error) -> Failure {
    let path = path.display().to_string();
    move |error| Failure::Failed(format!("{path}: {error}"))
}

/// The latest moment that a line may name: a day from now, for clocks that differ.
pub(super) fn latest_ms() -> u64 {
    Clock::system().now_ms() + 86_400_000
}

/// Moment at which people and edges are made: one second before the first act.
const fn made_ms(first_ms: u64) -> u64 {
    first_ms.saturating_sub(1_000)
}

/// Moment of the first act.
fn first_act(path: &Path) -> Result<u64, Failure> {
    let mut lines = Lines::open(path, ACTIVITY_HEADER).map_err(unreadable(path))?;
    while let Some((_, line)) = lines.next_line().map_err(unreadable(path))? {
        if let Ok(act) = line.and_then(|line| lines::act(&line, latest_ms())) {
            return Ok(act.at_ms);
        }
    }
    Err(Failure::Failed(format!("{}: no line of it can be read as activity", path.display())))
}

/// Counts lines that cannot be used, and prints the first of them.
pub(super) struct Skipped<'a> {
    path: &'a Path,
    count: u64,
}

impl<'a> Skipped<'a> {
    /// None yet, of `path`.
    pub(super) fn of(path: &'a Path) -> Self {
        Self { path, count: 0 }
    }

    /// So many lines.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn say(&mut self, progress: &Progress, line: u64, why: &str) {
        self.count += 1;
        if self.count <= REPORTED_LINES_MAX {
            progress.say(&format!("{}:{line}: skipped: {why}", self.path.display()));
        }
    }
}

async fn import(app: &App, args: &Replayed<'_>, first_ms: u64) -> Result<(), Failure> {
    let mut people = People::new(app.clone(), made_ms(first_ms));
    let done = replayed(app).await?;
    let loaded = people.loaded().await?;
    let newest = app.core().log.newest();
    if loaded == 0 && done == 0 && newest >= first_id_at(first_ms) {
        return Err(Failure::Failed(format!(
            "the data folder holds things of {}, newer than the file's first line: import into a fresh --data-dir",
            fanfare_protocol::Timestamp(unix_ms_of(newest))
        )));
    }
    load_graph(&mut people, args, loaded).await?;
    let (tally, took, skipped) = act_again(app, &mut people, args, done, first_ms).await?;
    let feed = app.feed().clone();
    let stats = tokio::task::spawn_blocking(move || feed.stats()).await;
    let stats = stats.map_err(|error| Failure::Failed(error.to_string()))?;
    let thresholds = app.feed().thresholds();
    say(format_args!(
        "people: {}; thresholds: push below {}, pull above {}",
        people.len(),
        thresholds.push_below,
        thresholds.pull_above
    ))?;
    for line in report::lines(tally, &stats, took) {
        say(line)?;
    }
    if skipped > 0 {
        say(format_args!("skipped lines of the activity: {skipped}"))?;
    }
    if args.verify > 0 { check(app, &people, args.verify).await } else { Ok(()) }
}

async fn load_graph(people: &mut People, args: &Replayed<'_>, loaded: u64) -> Result<(), Failure> {
    let path = args.follows;
    let total = lines::count(path, FOLLOWS_HEADER).map_err(unreadable(path))?;
    let mut progress = Progress::start("follows", total);
    let mut skipped = Skipped { path, count: 0 };
    let mut lines = Lines::open(path, FOLLOWS_HEADER).map_err(unreadable(path))?;
    let mut block = Vec::with_capacity(BLOCK_LINES);
    let mut known = Vec::new();
    let mut last = 1;
    loop {
        let line = lines.next_line().map_err(unreadable(path))?;
        let end = line.is_none();
        if let Some((number, text)) = line {
            last = number;
            match text.and_then(|text| lines::follow(&text)) {
                Ok(follow) if number <= loaded => known.extend([follow.follower, follow.followee]),
                Ok(follow) => block.push((number, follow)),
                Err(why) if number > loaded => skipped.say(&progress, number, &why),
                Err(_) => {}
            }
        }
        if !known.is_empty() && (end || last >= loaded || known.len() >= 2 * BLOCK_LINES) {
            people.find_or_make_all(std::mem::take(&mut known).into_iter()).await?;
        }
        if block.len() == BLOCK_LINES || (end && last > loaded) {
            for (number, why) in people.load(&std::mem::take(&mut block), last).await? {
                skipped.say(&progress, number, &why);
            }
        }
        if end {
            let note = format!("{} people, {} lines skipped", people.len(), skipped.count);
            progress.finish(last - 1, &note);
            return Ok(());
        }
        if last.is_multiple_of(BLOCK_LINES as u64) {
            progress.at(last - 1, || format!("{} people", people.len()));
        }
    }
}

async fn act_again(
    app: &App,
    people: &mut People,
    args: &Replayed<'_>,
    done: u64,
    first_ms: u64,
) -> Result<(Tally, Duration, u64), Failure> {
    let path = args.activity;
    let total = lines::count(path, ACTIVITY_HEADER).map_err(unreadable(path))?;
    let mut progress = Progress::start("activity", total);
    if done > 0 {
        progress.say(&format!("going on after line {done}"));
    }
    let mut skipped = Skipped { path, count: 0 };
    let lines = Lines::open(path, ACTIVITY_HEADER).map_err(unreadable(path))?;
    let mut replay = Replayer::new(app.clone(), people, args.readers, first_ms);
    let started = Instant::now();
    let mut paced_from = None;
    let mut number = 1;
    // People of the lines before a restart: they are there, and belong to those who are verified.
    let mut met = Vec::new();
    let mut ahead = Ahead::of(lines, done);
    ahead.is_paced = matches!(args.speed, Speed::Times(_));
    while let Some((at, act)) = ahead.next().map_err(unreadable(path))? {
        if let Some(block) = ahead.begun.take() {
            people.find_or_make_all(met.drain(..)).await?;
            meet(&mut replay, people, (at, &block), (&mut skipped, &progress)).await?;
        }
        number = at;
        match act {
            Ok(act) if at <= done => {
                app.core().clock.set(act.at_ms);
                replay.pass(act.at_ms);
                met.extend([act.actor, act.target]);
            }
            Ok(act) => {
                people.find_or_make_all(met.drain(..)).await?;
                pace(args.speed, &mut paced_from, act).await;
                match replay.act(people, at, act).await {
                    Ok(()) => {}
                    Err(Error::Refused(problem)) => {
                        replay.tally.refused += 1;
                        skipped.say(&progress, at, &problem.detail);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            Err(why) if at > done => skipped.say(&progress, at, &why),
            Err(_) => {}
        }
        if at.is_multiple_of(1_000) {
            let rate = replay.tally.lines as f64 / started.elapsed().as_secs_f64();
            progress.at(at - 1, || format!("{rate:.0} events/s"));
        }
    }
    people.find_or_make_all(met.drain(..)).await?;
    replay.finish().await?;
    progress.finish(number - 1, &format!("{} lines skipped", skipped.count));
    Ok((replay.tally, started.elapsed(), skipped.count))
}

/// Makes the people of a block of lines of which `first` is the first. What was refused of lines before it is told.
async fn meet(
    replay: &mut Replayer,
    people: &mut People,
    (first, acts): (u64, &[Activity]),
    (skipped, progress): (&mut Skipped<'_>, &Progress),
) -> Result<(), Failure> {
    match replay.meet(people, acts).await {
        Err(Error::Refused(problem)) => {
            replay.tally.refused += 1;
            skipped.say(progress, first, &problem.detail);
            Ok(())
        }
        done => Ok(done?),
    }
}

/// Waits until a line's time has come, at `--speed`.
async fn pace(speed: Speed, from: &mut Option<(Instant, u64)>, act: Activity) {
    let Speed::Times(times) = speed else { return };
    let (started, first_ms) = *from.get_or_insert((Instant::now(), act.at_ms));
    let due = Duration::from_secs_f64(act.at_ms.saturating_sub(first_ms) as f64 / 1e3 / times);
    tokio::time::sleep_until((started + due).into()).await;
}

/// Compares feeds with the pull query; fails on a difference.
async fn check(app: &App, people: &People, count: usize) -> Result<(), Failure> {
    let chosen: Vec<Id> = verify::sample(people.all().collect(), count)?;
    let mut progress = Progress::start("verify", chosen.len() as u64);
    let (mut different, mut depth, mut deepest) = (0, 0, 0);
    for (number, reader) in chosen.iter().enumerate() {
        let (entries, difference) = verify::compare(app, *reader, VERIFY_PAGE).await?;
        depth += entries;
        deepest = deepest.max(entries);
        if let Some(difference) = difference {
            different += 1;
            progress.say(&format!(
                "the feed of {reader} differs: {} missing, {} too many, disordered: {}; first missing {:?}, first extra {:?}",
                difference.missing.len(),
                difference.extra.len(),
                difference.disordered,
                difference.missing.first(),
                difference.extra.first()
            ));
        }
        progress.at(number as u64 + 1, || format!("{different} differ"));
    }
    let note = format!("{depth} entries in all, {deepest} in the deepest feed, {different} feeds differ");
    say(format_args!("verified: {} feeds, whole depth; {note}", chosen.len()))?;
    progress.finish(chosen.len() as u64, "");
    match different {
        0 => Ok(()),
        _ => Err(Failure::Failed(format!("{different} of {} feeds differ from the pull query", chosen.len()))),
    }
}
