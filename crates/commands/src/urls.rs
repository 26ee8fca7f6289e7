//! `fanfare import --urls`: a short link of each line of a file.

use std::path::Path;

use fanfare::app::App;
use fanfare::base::clock::Clock;
use fanfare::base::logging;
use fanfare::base::output::say;
use fanfare::config::Settings;
use fanfare::import::lines;
use fanfare::import::urls::{self, UrlTally};
use fanfare::serve;
use fanfare_protocol::Id;

use super::import::{Skipped, unreadable};
use super::progress::Progress;
use super::{Failure, block_on};

/// Links between two looks at how far it is.
const LINES_PER_LOOK: u64 = 100;

pub(super) fn run(settings: &Settings, file: &Path, handle: &str) -> Result<(), Failure> {
    let log = logging::start(&settings.log.level, settings.log.format);
    block_on(settings, async {
        let running = serve::open(settings, Clock::system(), log).await?;
        let app = running.app.clone();
        let outcome = import(&app, file, handle).await;
        drop(app);
        running.stop().await;
        outcome
    })
}

async fn import(app: &App, file: &Path, handle: &str) -> Result<(), Failure> {
    let owner = app.core().store.by_handle(handle.trim_start_matches('@')).await?;
    let owner: Id = owner
        .map(|account| account.row.id)
        .ok_or_else(|| Failure::Failed(format!("nobody is called {handle}: make the account first")))?;
    let (digest, total) = lines::digest(file).map_err(unreadable(file))?;
    let mut lines = lines::Lines::bare(file).map_err(unreadable(file))?;
    let mut broken = None;
    let numbered = std::iter::from_fn(|| match lines.next_line() {
        Ok(line) => line,
        Err(error) => {
            broken = Some(error);
            None
        }
    });
    let progress = std::cell::RefCell::new(Progress::start("links", total));
    let mut skipped = Skipped::of(file);
    let done = urls::shorten(
        app,
        owner,
        &digest,
        numbered,
        |line, why| skipped.say(&progress.borrow(), line, why),
        |line| {
            if line.is_multiple_of(LINES_PER_LOOK) {
                progress.borrow_mut().at(line, String::new);
            }
        },
    )
    .await?;
    if let Some(error) = broken {
        return Err(unreadable(file)(error));
    }
    let UrlTally { made, there, skipped } = done;
    progress.into_inner().finish(total, "");
    say(format_args!("links made: {made}; made by an earlier run: {there}; lines skipped: {skipped}"))?;
    Ok(())
}
