//! Clustering keys within a user's partition of [`NOTIFICATIONS`](super::NOTIFICATIONS).

use bytes::Bytes;
use fanfare_protocol::{Id, NotificationKind};

/// Key of the fold's state of the whole list.
pub const STATE: Bytes = Bytes::from_static(&[0]);
/// First byte of what is remembered of groups.
const GROUP: u8 = 1;
/// First byte of items.
pub const ITEM: u8 = 2;
/// First byte of where groups stand: items that stand for many.
pub const LISTED: u8 = 3;
/// First byte of what is in groups.
pub const GROUPED: u8 = 4;

/// Stored number of a kind.
const fn code(kind: NotificationKind) -> u8 {
    match kind {
        NotificationKind::Unknown => 0,
        NotificationKind::Follow => 1,
        NotificationKind::Like => 2,
        NotificationKind::Reply => 3,
        NotificationKind::Repost => 4,
        NotificationKind::Mention => 5,
        NotificationKind::Message => 6,
        NotificationKind::Live => 7,
    }
}

/// Key of the fact that there is an item which stands for many events: same kind, same subject, same hour. Byte
/// order is that of the hours. It is written once: a scan steps over every version of a row that was not compacted
/// yet, so what changes with each event is in a row of its own.
#[must_use]
pub fn listed(hour: u32, kind: NotificationKind, subject: Id) -> Bytes {
    let mut bytes = listed_from(hour).to_vec();
    bytes.push(code(kind));
    bytes.extend_from_slice(&subject.to_bytes());
    bytes.into()
}

/// Key of what is in the group that stands at [`listed`].
#[must_use]
pub fn grouped(listed: &[u8]) -> Bytes {
    let mut bytes = listed.to_vec();
    if let Some(first) = bytes.first_mut() {
        *first = GROUPED;
    }
    bytes.into()
}

/// Below all of [`listed`] in this hour and later ones, above all before.
#[must_use]
pub fn listed_from(hour: u32) -> Bytes {
    let mut bytes = vec![LISTED];
    bytes.extend_from_slice(&hour.to_be_bytes());
    bytes.into()
}

/// Hour and subject of [`listed`], and of [`grouped`].
#[must_use]
pub fn of_listed(clustering: &[u8]) -> Option<(u32, Id)> {
    let hour = u32::from_be_bytes(*clustering.get(1..)?.first_chunk::<4>()?);
    Some((hour, Id::from_bytes(clustering.get(6..)?)?))
}

/// Key of what is remembered of like events while the hour lasts: same kind, same subject, same hour.
#[must_use]
pub fn group(kind: NotificationKind, subject: Id, hour: u32) -> Bytes {
    let mut bytes = vec![GROUP, code(kind)];
    bytes.extend_from_slice(&subject.to_bytes());
    bytes.extend_from_slice(&hour.to_be_bytes());
    bytes.into()
}

/// Key of a page of those who took back what [`group`] is about.
#[must_use]
pub fn left(group: &[u8], page: usize) -> Bytes {
    let mut bytes = group.to_vec();
    bytes.push(u8::try_from(page).unwrap_or(u8::MAX));
    bytes.into()
}

/// A notification; byte order is id order.
#[must_use]
pub fn item(id: Id) -> Bytes {
    let mut bytes = vec![ITEM];
    bytes.extend_from_slice(&id.to_bytes());
    bytes.into()
}

/// Id of [`item`].
#[must_use]
pub fn of_item(clustering: &[u8]) -> Option<Id> {
    clustering.get(1..).and_then(Id::from_bytes)
}
