//! Chat put together: its partitions taken over, and the service over them.

use std::sync::{Arc, OnceLock};

use fanfare_engines::Engines;

use super::settings::chat_settings;
use crate::base::error::Result;
use crate::chat::family::{ChatFamily, Hears};
use crate::chat::service::Chat;
use crate::chat::stream::ChatFeeder;
use crate::config::Settings;
use crate::log::core::Core;
use crate::log::owner::OwnerThreads;
use crate::realtime::Publisher;

/// Takes over chat's partitions; `publisher` reaches who is connected.
pub(super) async fn open(
    settings: &Settings,
    engines: &Engines,
    core: &Core,
    publisher: Publisher,
) -> Result<(Chat, OwnerThreads)> {
    // The owner's thread hears of records before there is somebody to render them.
    let views = Arc::new(OnceLock::new());
    let large_from = settings.chat.fanout_async_from;
    let feeder = ChatFeeder::new(publisher.clone(), core.clock.clone(), Arc::clone(&views), large_from);
    let feeder: Arc<dyn Hears> = Arc::new(feeder);
    let family = |_| ChatFamily::new(Arc::clone(&core.store), vec![Arc::clone(&feeder)]);
    let (owners, threads) = core.log.open_family(engines, family).await?;
    let chat = Chat::new(core.clone(), owners, chat_settings(settings), publisher);
    let _ = views.set(chat.views().clone());
    Ok((chat, threads))
}
