//! Frames of read markers: where one stands now, for all devices of the person; and what a device has read.

use fanfare_protocol::FeedRead;
use serde_json::{Map, Value};

use super::Markers;
use crate::base::error::Result;
use crate::data::tables::Marker;
use crate::realtime::ClientCall;

/// Types of frames that tell where a marker stands.
pub const TYPES: &[&str] = &[type_of(Marker::Feed), type_of(Marker::Notifications)];

/// The type that tells where `which` stands.
#[must_use]
pub const fn type_of(which: Marker) -> &'static str {
    match which {
        Marker::Feed => "feed.read",
        Marker::Notifications => "notifications.read",
    }
}

/// Answers `feed.read`: moves the marker of the home feed.
///
/// # Errors
/// 422 for data that is not what the type takes; when the engine fails.
pub async fn feed_read(markers: Markers, mut call: ClientCall) -> Result<Value> {
    let read: FeedRead = call.data()?;
    // Markers only go forward: what order they are written in is the same.
    call.pass_turn();
    markers.advance(call.person, Marker::Feed, read.last_read_id).await?;
    Ok(Value::Object(Map::new()))
}
