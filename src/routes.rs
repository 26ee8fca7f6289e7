//! Every route of the API, in one list.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::{admin, chat, feed, follows, links, live, media, notifications, posts, realtime, reports, users};

/// The API below `/v1` and the media; health and docs are added by `http::routes`.
#[must_use]
pub fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        // Accounts and sessions.
        .routes(routes!(users::http::register))
        .routes(routes!(users::http::log_in, users::http::log_out_everywhere))
        .routes(routes!(users::http::log_out))
        .routes(routes!(users::http::me, users::http::patch, users::http::delete))
        .routes(routes!(users::http::change_password))
        // People.
        .routes(routes!(follows::http::blocks))
        .routes(routes!(follows::http::mutes))
        .routes(routes!(users::http::profile))
        .routes(routes!(users::http::search))
        .routes(routes!(follows::http::follow, follows::http::unfollow))
        .routes(routes!(follows::http::block, follows::http::unblock))
        .routes(routes!(follows::http::mute, follows::http::unmute))
        .routes(routes!(follows::http::followers))
        .routes(routes!(follows::http::following))
        // Posts.
        .routes(routes!(posts::http::publish, posts::http::public))
        .routes(routes!(posts::http::get, posts::http::delete))
        .routes(routes!(posts::http::like, posts::http::unlike))
        .routes(routes!(posts::http::likes))
        .routes(routes!(posts::http::replies))
        .routes(routes!(posts::http::thread))
        .routes(routes!(posts::http::of_author))
        // The home feed.
        .routes(routes!(feed::http::read))
        .routes(routes!(feed::http::unread))
        .routes(routes!(feed::http::mark_read))
        // Notifications.
        .routes(routes!(notifications::http::list))
        .routes(routes!(notifications::http::read))
        // Realtime.
        .routes(routes!(realtime::http::connect))
        .routes(routes!(realtime::http::stream))
        .routes(routes!(realtime::http::poll))
        .routes(routes!(realtime::http::send))
        .routes(routes!(realtime::http::ticket))
        .routes(routes!(realtime::http::presence_of))
        .routes(routes!(follows::http::presence))
        .routes(routes!(realtime::http::heartbeat))
        // Operators.
        .routes(routes!(admin::http::sessions))
        .routes(routes!(admin::http::close))
        .routes(routes!(admin::http::publish))
        .routes(routes!(admin::http::status))
        .routes(routes!(admin::http::settings, admin::http::change_settings))
        .routes(routes!(admin::http::remove_consumer))
        .routes(routes!(admin::http::set_role))
        .routes(routes!(admin::http::delete_post))
        .routes(routes!(admin::http::link, admin::http::delete_link))
        .routes(routes!(admin::http::suspend, admin::http::unsuspend))
        .routes(routes!(admin::http::suspensions))
        .routes(routes!(admin::http::set_password))
        .routes(routes!(admin::http::audit))
        .routes(routes!(admin::http::reports))
        .routes(routes!(admin::http::resolve_report))
        // Reports.
        .routes(routes!(reports::http::file))
        .routes(routes!(reports::http::get))
        .merge(conversations())
        .merge(short_links())
        .merge(live_sessions())
        .merge(media::http::routes())
}

/// Routes of live sessions.
fn live_sessions() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(live::http::announce))
        .routes(routes!(live::http::feed))
        .routes(routes!(live::http::get, live::http::patch, live::http::remove))
        .routes(routes!(live::http::start))
        .routes(routes!(live::http::end))
        .routes(routes!(live::http::remind, live::http::no_reminder))
        .routes(routes!(live::http::of_host))
}

/// Calls of short links, and where everybody follows them.
fn short_links() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(links::http::make, links::http::list))
        .routes(routes!(links::http::export))
        .routes(routes!(links::http::get, links::http::change, links::http::delete))
        .routes(routes!(links::http::draw))
        .routes(routes!(links::clicks::http::stats))
        .routes(routes!(links::clicks::http::export))
        .routes(routes!(links::http::follow, links::http::unlock))
        .routes(routes!(links::http::home))
        .routes(routes!(links::http::robots))
}

/// Conversations and messages.
fn conversations() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(chat::http::begin, chat::http::conversations))
        .routes(routes!(chat::http::unread))
        .routes(routes!(chat::http::preferences, chat::http::prefer))
        .routes(routes!(chat::http::mentions))
        .routes(routes!(chat::http::conversation, chat::http::change_conversation, chat::http::hide))
        .routes(routes!(chat::http::personal))
        .routes(routes!(chat::http::mark_conversation_read))
        .routes(routes!(chat::http::mark_delivered))
        .routes(routes!(chat::http::receipts))
        .routes(routes!(chat::http::members))
        .routes(routes!(chat::http::add_member, chat::http::remove_member, chat::http::change_role))
        .routes(routes!(chat::http::accept_request))
        .routes(routes!(chat::http::decline_request))
        .routes(routes!(chat::http::decline_all))
        .routes(routes!(chat::http::send_message, chat::http::messages))
        .routes(routes!(chat::http::message, chat::http::edit_message, chat::http::recall_message))
        .routes(routes!(chat::http::earlier_texts))
        .routes(routes!(chat::http::reactors))
        .routes(routes!(chat::http::react, chat::http::unreact))
        .routes(routes!(chat::http::pins))
        .routes(routes!(chat::http::pin, chat::http::unpin))
        .routes(routes!(chat::http::changes))
        .routes(routes!(chat::http::make_invite, chat::http::invites))
        .routes(routes!(chat::http::revoke_invite))
        .routes(routes!(chat::http::look_at_invite))
        .routes(routes!(chat::http::join_by_invite))
}
