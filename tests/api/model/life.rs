//! Life of a server without sockets, over engines that outlive it.

use fanfare::app::{self, Running};
use fanfare::base::clock::Clock;
use fanfare::base::logging;
use fanfare::http::OperatorTokens;
use fanfare_engines::Engines;
use fanfare_engines::hostile::Hostile;

use crate::world::{eventually, quick};

/// Timelines for everybody.
pub const MANY: usize = 100;
/// Timelines for a few.
pub const FEW: usize = 2;

/// A server that runs.
pub struct Life {
    pub running: Running,
    _folder: tempfile::TempDir,
}

impl Life {
    /// A server with limits so tiny that every edge is near. The engines must be in a good mood. With few timelines
    /// they are built all the time; with many they are kept, and each change must reach them.
    pub async fn start(engines: Engines, timelines_max: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = quick();
        settings.feed.timeline_cap = 3;
        settings.feed.timelines_max = timelines_max;
        settings.feed.recents_per_author = 2;
        settings.feed.push_below = 2;
        settings.feed.pull_above = 3;
        settings.feed.push_slice = 1;
        settings.feed.flip_interval_s = 0;
        settings.notifications.group_after = 1_000;
        settings.notifications.kept_max = 100_000;
        let tokens = OperatorTokens::open(folder.path()).unwrap();
        let log = logging::start(&settings.log.level, settings.log.format);
        let running = app::start(&settings, engines, b"secret", tokens, Clock::system(), log).await.unwrap();
        Self { running, _folder: folder }
    }

    pub async fn stop(self) {
        self.running.stop().await;
    }

    /// The life once its storage is back, or the next one if it ended.
    pub async fn unless_failed(self, world: &Hostile) -> Self {
        let app = self.running.app.clone();
        if !app.core().log.has_failed() {
            eventually("storage is back", async || app.core().log.takes().then_some(())).await;
            return self;
        }
        super::crash(world, self).await;
        Self::start(world.engines(), MANY).await
    }
}
