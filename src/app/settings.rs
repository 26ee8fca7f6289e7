//! Settings of services, from the configuration.

use crate::base::limits;
use crate::chat::paces::ChatRates;
use crate::chat::service::ChatSettings;
use crate::config::{ChatDeletion, Settings};
use crate::data::tables;
use crate::feed::FeedSettings;
use crate::live::DueSettings;
use crate::media::MediaTables;
use crate::users::attempts::Bounds;
use crate::users::password::PasswordCost;
use crate::users::service::UserSettings;

/// The feed's settings from the configuration.
#[must_use]
pub(super) fn feed_settings(settings: &Settings) -> FeedSettings {
    let feed = &settings.feed;
    FeedSettings {
        timeline_cap: feed.timeline_cap,
        timelines_max: feed.timelines_max,
        timeline_bytes_max: feed.timelines_bytes_max,
        idle_ms: feed.idle_s * 1_000,
        recents_per_author: feed.recents_per_author,
        recents_age_ms: u64::from(feed.recents_days) * 86_400_000,
        push_below: feed.push_below,
        pull_above: feed.pull_above,
        flip_interval_ms: feed.flip_interval_s * 1_000,
        push_slice: feed.push_slice,
        builds_max: feed.builds_max,
        ..FeedSettings::default()
    }
}

/// Chat's settings from the configuration.
#[must_use]
pub(super) fn chat_settings(settings: &Settings) -> ChatSettings {
    let chat = &settings.chat;
    ChatSettings {
        group_max: chat.group_max,
        text_max: chat.text_max,
        erases: chat.deletion == ChatDeletion::Erase,
        default_who_may: chat.default_who_may,
        rates: ChatRates {
            messages_per_s: chat.messages_per_s,
            conversations_per_hour: chat.conversations_per_hour,
            requests_per_hour: chat.requests_per_hour,
        },
        change_ms: (chat.change_hours > 0).then_some(u64::from(chat.change_hours) * 3_600_000),
    }
}

/// Settings of timelines of replays: the feed's, but for how much they hold.
#[must_use]
pub(super) fn replay_settings(settings: &Settings) -> FeedSettings {
    FeedSettings {
        timeline_cap: limits::live::REPLAYS_CAP,
        timeline_bytes_max: settings.live.timelines_bytes_max,
        recents_per_author: limits::live::REPLAYS_RECENT,
        recents_age_ms: limits::live::REPLAYS_RECENT_DAYS * 86_400_000,
        ..feed_settings(settings)
    }
}

/// Times after which live sessions are cancelled and ended.
pub(super) fn due_settings(settings: &Settings) -> DueSettings {
    const HOUR_MS: u64 = 3_600_000;
    DueSettings {
        overdue_ms: u64::from(settings.live.overdue_h) * HOUR_MS,
        lasts_ms_max: u64::from(settings.live.hours_max) * HOUR_MS,
    }
}

/// Tables of uploads.
pub(super) fn media_tables() -> MediaTables {
    MediaTables { media: tables::MEDIA, owners: tables::MEDIA_OWNERS }
}

/// Settings of accounts.
pub(super) fn user_settings(settings: &Settings) -> UserSettings {
    let auth = &settings.auth;
    let wrong_passwords = Bounds {
        per_account: auth.wrong_passwords_per_account,
        per_network: auth.wrong_passwords_per_address,
        window_ms: auth.wrong_passwords_window_s * 1_000,
    };
    UserSettings {
        token_days: settings.auth.token_days,
        registration: settings.api.registration,
        wrong_passwords,
        handle_reserved_days: settings.users.handle_reserved_days,
    }
}

/// Cost of a password's hash.
pub(super) fn password_cost(settings: &Settings) -> PasswordCost {
    let (memory_kib, iterations) = (settings.auth.argon2_memory_kib, settings.auth.argon2_iterations);
    PasswordCost { memory_kib, iterations, ..PasswordCost::default() }
}
