//! Uploads that messages of the random histories hold.

use std::collections::BTreeSet;

use fanfare_protocol::{Id, MediaKind};

use super::Stored;
use super::model::Group;
use crate::base::id::unix_ms_of;
use crate::base::limits::media::UNUSED_MS;
use crate::data::rows::chat::AttachmentRow;
use crate::data::tables::chat as tables;

/// Upload with a number, of a few.
pub fn upload(number: u8) -> AttachmentRow {
    AttachmentRow {
        id: Id(900 + u64::from(number)),
        kind: MediaKind::File,
        content_type: "text/plain".to_owned(),
        bytes: 4,
        size: None,
        thumbnail: false,
        filename: None,
        alt: None,
        duration_ms: None,
    }
}

/// An upload has a row for each message that holds it, and where one was taken back it is said when to look.
pub fn check(stored: &Stored, id: Id, model: &Group) {
    let uses = stored.0.iter().filter(|(key, (_, value))| key.table == tables::MEDIA_USES && value.is_some());
    let uses: BTreeSet<(Id, u64)> = uses
        .filter(|(key, _)| key.clustering.starts_with(&id.to_bytes()))
        .map(|(key, _)| (Id::from_bytes(&key.partition).unwrap(), tables::number_in(&key.clustering[8..]).unwrap()))
        .collect();
    let held = (1..).zip(&model.messages).filter(|(_, message)| !message.recalled);
    assert_eq!(uses, held.filter_map(|(seq, message)| Some((message.media?, seq))).collect::<BTreeSet<_>>());
    for (media, record) in &model.ends {
        let end = stored.get(&tables::media_end(*media)).and_then(|end| Id::from_bytes(end));
        assert!(end >= Some(*record), "the last end of any conversation");
        let due_ms = unix_ms_of(*record) + UNUSED_MS;
        assert!(stored.get(&tables::media_check(due_ms, *media)).is_some(), "somebody looks an hour later");
    }
}
