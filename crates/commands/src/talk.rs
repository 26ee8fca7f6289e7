//! `fanfare import --chat`: channels of a file become groups, its lines their messages, at their own times.

use std::collections::BTreeMap;
use std::path::Path;

use fanfare::app::App;
use fanfare::base::clock::Clock;
use fanfare::base::logging;
use fanfare::base::output::say;
use fanfare::config::Settings;
use fanfare::import::channels::{BLOCK_LINES, Channels, Spoken};
use fanfare::import::lines::{self, Lines};
use fanfare::import::talk::{self, Days, TalkPlan};
use fanfare::serve;

use super::import::{Skipped, unreadable};
use super::progress::Progress;
use super::{Failure, block_on};

pub(super) fn run(settings: &Settings, file: &Path, verify: bool) -> Result<(), Failure> {
    let log = logging::start(&settings.log.level, settings.log.format);
    let plan = plan(file)?;
    block_on(settings, async {
        let running = serve::open(settings, Clock::system(), log).await?;
        let app = running.app.clone();
        let outcome = import(&app, file, &plan, verify).await;
        drop(app);
        running.stop().await;
        outcome
    })
}

/// Channels and their people, from a first look at the file.
fn plan(file: &Path) -> Result<TalkPlan, Failure> {
    let mut plan = TalkPlan::default();
    let mut lines = Lines::open(file, talk::HEADER).map_err(unreadable(file))?;
    while let Some((_, text)) = lines.next_line().map_err(unreadable(file))? {
        if let Ok(text) = text
            && let Ok(line) = talk::line(&text)
        {
            plan.add(&line);
        }
    }
    Ok(plan)
}

async fn import(app: &App, file: &Path, plan: &TalkPlan, verify: bool) -> Result<(), Failure> {
    let (digest, total) = lines::digest(file).map_err(unreadable(file))?;
    let mut channels = Channels::new(app.clone(), &digest);
    let mut progress = Progress::start("channels", plan.channels.len() as u64);
    for (number, (name, channel)) in plan.channels.iter().enumerate() {
        channels.open(name, channel).await?;
        let people = channels.people();
        progress.at(number as u64 + 1, || format!("{people} people"));
    }
    progress.finish(plan.channels.len() as u64, &format!("{} people", channels.people()));
    let done = channels.done().await?;
    let mut progress = Progress::start("messages", total);
    if done > 0 {
        progress.say(&format!("going on after line {done}"));
    }
    let mut skipped = Skipped::of(file);
    let (mut sent, mut block) = (0, Vec::with_capacity(BLOCK_LINES));
    let mut lines = Lines::open(file, talk::HEADER).map_err(unreadable(file))?;
    let mut days = Days::default();
    loop {
        let line = lines.next_line().map_err(unreadable(file))?;
        let at_end = line.is_none();
        if let Some((number, text)) = line {
            match text.and_then(|text| Ok(Spoken::of(number, &talk::line(&text)?, &mut days))) {
                Ok(spoken) if number > done => block.push(spoken),
                Err(why) if number > done => skipped.say(&progress, number, &why),
                _ => {}
            }
        }
        if block.len() >= BLOCK_LINES || at_end && !block.is_empty() {
            let refused = channels.send(&block).await?;
            sent += (block.len() - refused.len()) as u64;
            refused.iter().for_each(|(line, why)| skipped.say(&progress, *line, why));
            let last = block.last().map_or(0, |spoken| spoken.line);
            progress.at(last, || format!("{} skipped", skipped.count()));
            block.clear();
        }
        if at_end {
            break;
        }
    }
    progress.finish(total, &format!("{} lines skipped", skipped.count()));
    let (groups, people) = (plan.channels.len(), channels.people());
    say(format_args!("{sent} messages of {people} people in {groups} groups; {} lines skipped", skipped.count()))?;
    if verify { compare(&channels, file, groups).await } else { Ok(()) }
}

/// Compares every channel with the file; fails on a difference.
async fn compare(channels: &Channels, file: &Path, groups: usize) -> Result<(), Failure> {
    let mut spoken: BTreeMap<String, Vec<Spoken>> = BTreeMap::new();
    let mut lines = Lines::open(file, talk::HEADER).map_err(unreadable(file))?;
    let mut days = Days::default();
    while let Some((number, text)) = lines.next_line().map_err(unreadable(file))? {
        if let Ok(text) = text
            && let Ok(line) = talk::line(&text)
        {
            let one = Spoken::of(number, &line, &mut days);
            spoken.entry(one.channel.clone()).or_default().push(one);
        }
    }
    let mut progress = Progress::start("verify", groups as u64);
    let (mut messages, mut different) = (0, 0);
    for (number, (name, lines)) in spoken.iter().enumerate() {
        let (compared, difference) = channels.compare(name, lines).await?;
        messages += compared;
        if let Some(difference) = difference {
            different += 1;
            progress.say(&format!("{name} {difference}"));
        }
        progress.at(number as u64 + 1, || format!("{different} differ"));
    }
    progress.finish(groups as u64, "");
    say(format_args!("verified: {messages} messages in {groups} channels; {different} channels differ"))?;
    match different {
        0 => Ok(()),
        _ => Err(Failure::Failed(format!("{different} of {groups} channels differ from the file"))),
    }
}
