//! Live sessions put together: what hears of commits before the log is open, and the service with its work beside
//! requests.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::no_thread;
use super::settings::{due_settings, replay_settings};
use crate::base::error::Result;
use crate::config::Settings;
use crate::data::rows::LiveRow;
use crate::data::store::Store;
use crate::feed::Worker;
use crate::live::stream::LiveFeeder;
use crate::live::{Live, LiveListener, LiveView};
use crate::log::core::Core;
use crate::realtime::Publisher;

/// Part that hears of commits.
pub(super) fn listener(settings: &Settings, store: &Arc<Store>, publisher: Publisher) -> LiveListener {
    let view = LiveView::new(replay_settings(settings), store, settings.live.pages_s * 1_000);
    LiveListener { view, feeder: LiveFeeder::new(publisher) }
}

/// Service over what heard of commits, whose work is begun.
///
/// # Errors
/// When the operating system gives no thread.
pub(super) fn begin(
    settings: &Settings,
    heard: LiveListener,
    core: &Core,
    tasks: &mut JoinSet<()>,
) -> Result<(Live, Worker<LiveRow>)> {
    let LiveListener { view, feeder } = heard;
    let worker = view.feed().start_worker().map_err(|error| no_thread(&error))?;
    tasks.spawn(feeder.keep_telling(Arc::clone(&core.store)));
    tasks.spawn(view.feed().clone().evict_now_and_then(core.clock.clone()));
    // An address of a recording keeps to the rules of short links.
    let targets = settings.links.rules(&settings.http);
    let live = Live::new(core.clone(), view, targets, due_settings(settings));
    tasks.spawn(live.clone().keep_time());
    tasks.spawn(live.clone().keep_reminding());
    Ok((live, worker))
}
