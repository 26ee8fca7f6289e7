//! Chat put together: its partitions taken over, the service over them, and who tells people of what concerns them.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use fanfare_engines::{Batch, Engines, Partition, RowKey};
use fanfare_protocol::Id;

use super::settings::chat_settings;
use crate::base::error::{Error, Result};
use crate::chat::counts::{ChatCounts, ChatPart};
use crate::chat::family::{ChatFamily, Hears};
use crate::chat::notices::Notices;
use crate::chat::service::Chat;
use crate::chat::stream::ChatFeeder;
use crate::config::Settings;
use crate::data::families;
use crate::data::tables;
use crate::log::core::Core;
use crate::log::onward::{Bearer, OnwardSource};
use crate::log::owner::OwnerThreads;
use crate::media::Uploads;
use crate::realtime::Publisher;

/// Row of the last record that was made before people were told of requests.
fn first_told() -> RowKey {
    RowKey::new(tables::CHAT_META, tables::ONE, Bytes::from_static(b"notices_after"))
}

/// Takes over chat's partitions; `publisher` reaches who is connected, and bearers tell people of requests.
pub(super) async fn open(
    settings: &Settings,
    engines: &Engines,
    core: &Core,
    media: &Uploads,
    publisher: Publisher,
) -> Result<(Chat, OwnerThreads, Vec<Bearer>)> {
    // The owner's thread hears of records before there is somebody to render them.
    let views = Arc::new(OnceLock::new());
    let feeder = ChatFeeder::new(publisher.clone(), core.clock.clone(), Arc::clone(&views));
    let feeder: Arc<dyn Hears> = Arc::new(feeder);
    let unknown = || Error::Internal("the engines have no family of chat".to_owned());
    let partitions = engines.families.get(families::CHAT.name).ok_or_else(unknown)?.partitions();
    let parts: Vec<ChatPart> = partitions.map(ChatPart::new).collect();
    let (counts, spread) = (Arc::<ChatCounts>::default(), core.log.spread());
    let family = |partition: Partition| {
        let part = parts.iter().find(|part| part.number == partition.0).cloned().unwrap_or_default();
        let counted = (part, Arc::clone(&counts));
        ChatFamily::new(Arc::clone(&core.store), vec![Arc::clone(&feeder)], counted, spread)
    };
    let (owners, threads) = core.log.open_family(engines, family).await?;
    let source: Arc<dyn OnwardSource> = Arc::new(Notices { spread, after: told_after(core).await? });
    let mut bearers = Vec::with_capacity(parts.len());
    for part in &parts {
        let told = (Partition(part.number), part.onward.clone());
        bearers.push(Bearer::open(engines, core.log.clone(), Arc::clone(&source), told).await?);
    }
    let chat = Chat::new(core.clone(), (owners, parts, counts), media.clone(), chat_settings(settings), publisher);
    let _ = views.set(chat.views().clone());
    Ok((chat, threads, bearers))
}

/// Id of the last record of which nobody is told: what happened before there were notices is no news.
async fn told_after(core: &Core) -> Result<Id> {
    if let Some(after) = core.store.get_as(&first_told(), Id::from_bytes).await? {
        return Ok(after);
    }
    let after = core.log.last_minted();
    let mut batch = Batch::default();
    batch.put_versioned(first_told(), after.to_bytes().to_vec(), 1);
    core.store.write(batch).await?;
    Ok(after)
}
