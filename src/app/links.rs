//! Short links put together: their parts, and what goes on beside requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::base::error::Result;
use crate::config::Settings;
use crate::data::storage::Storage;
use crate::links::Links;
use crate::links::blocklist::Blocklist;
use crate::links::counting::Uncounted;
use crate::links::hot::HotLinks;
use crate::links::keeper::Keeper;
use crate::links::service::{LinkParts, LinkSettings};
use crate::log::core::Core;
use crate::users::password::Passwords;

/// Longest wait for the last mark of leased numbers when the server stops.
const END_S: u64 = 2;

/// The service, once the log is open.
pub(super) async fn links(settings: &Settings, core: &Core, hot: HotLinks, passwords: Passwords) -> Result<Links> {
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
    let counted = Arc::new(Uncounted);
    let parts = LinkParts { hot, keeper, passwords, blocklist, sink: counted.clone(), totals: counted };
    Ok(Links::new(core.clone(), link_settings, parts))
}

/// Work of links that goes on beside requests.
pub(super) fn in_background(tasks: &mut JoinSet<()>, links: &Links) {
    tasks.spawn(links.keeper().clone().mark_now_and_then());
    tasks.spawn(links.blocklist().clone().keep_reading());
}

/// Marks how far numbers are leased, so that the next start skips none for the time that the server was up.
pub(super) async fn end(links: &Links, storage: &Storage) {
    if storage.serves() {
        // Whatever comes of it: what is not marked is skipped.
        let _ = tokio::time::timeout(Duration::from_secs(END_S), links.keeper().end()).await;
    }
}
