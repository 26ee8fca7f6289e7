//! Short links put together: their parts, and what goes on beside requests.

use std::sync::Arc;
use std::time::Duration;

use fanfare_engines::Engines;
use tokio::task::JoinSet;

use crate::base::error::Result;
use crate::config::Settings;
use crate::data::storage::Storage;
use crate::links::Links;
use crate::links::blocklist::Blocklist;
use crate::links::clicks::service;
use crate::links::clicks::service::{Clicks, OpenedClicks};
use crate::links::hot::HotLinks;
use crate::links::keeper::Keeper;
use crate::links::service::{LinkParts, LinkSettings};
use crate::log::core::Core;
use crate::users::password::Passwords;

/// Folder of the spool within the data folder.
const SPOOL_FOLDER: &str = "spool";
/// Longest wait for the last mark of leased numbers when the server stops.
const END_S: u64 = 2;

/// The service, once the log is open.
pub(super) async fn links(
    settings: &Settings,
    core: &Core,
    hot: HotLinks,
    passwords: Passwords,
    clicks: &OpenedClicks,
) -> Result<Links> {
    let section = &settings.links;
    let blocklist = Blocklist::open(section.blocklist_file.clone())?;
    // A node is alone: it leases all numbers.
    let keeper = Keeper::open(core.clone(), Arc::clone(hot.unclaimed()), true).await?;
    let link_settings = LinkSettings {
        expiry_ms: u64::from(section.expiry_days) * 86_400_000,
        per_user_max: section.per_user_max,
        short_base: section.short_base(&settings.http),
        home_url: section.home_url.as_ref().map(|url| url.0.clone()),
        misses_per_minute: section.misses,
    };
    let (sink, totals) = (Arc::clone(&clicks.sink), clicks.clicks.clone());
    let parts = LinkParts { hot, keeper, passwords, blocklist, sink, totals };
    Ok(Links::new(core.clone(), link_settings, parts))
}

/// Clicks, once the log is open.
pub(super) async fn clicks(settings: &Settings, core: &Core, engines: &Engines) -> Result<OpenedClicks> {
    let folder = settings.server.data_dir.join(SPOOL_FOLDER);
    service::open(&core.log, engines, &core.clock, &settings.links, folder).await
}

/// Work of clicks that goes on beside requests, where engines have any.
pub(super) fn clicks_in_background(tasks: &mut JoinSet<()>, opened: &OpenedClicks) {
    if opened.threads.is_some() {
        tasks.spawn(Arc::clone(&opened.salts).keep());
        tasks.spawn(meter(Arc::clone(&opened.clicks)));
    }
}

async fn meter(clicks: Arc<Clicks>) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tick.tick().await;
        clicks.meter();
    }
}

/// Work of links that goes on beside requests.
pub(super) fn in_background(tasks: &mut JoinSet<()>, links: &Links) {
    tasks.spawn(links.keeper().clone().mark_now_and_then());
    tasks.spawn(links.keeper().clone().keep_ready());
    tasks.spawn(links.blocklist().clone().keep_reading());
}

/// Marks how far numbers are leased, so that the next start skips none for the time that the server was up.
pub(super) async fn end(links: &Links, storage: &Storage) {
    if storage.serves() {
        // Whatever comes of it: what is not marked is skipped.
        let _ = tokio::time::timeout(Duration::from_secs(END_S), links.keeper().end()).await;
    }
}
