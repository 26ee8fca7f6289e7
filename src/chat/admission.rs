//! Admission: what is asked of chat, checked and cleaned before it becomes a record. Pure.
//!
//! Permissions are not decided here, but by the fold: this looks at what was said alone.

use fanfare_protocol::{ConversationKind, FieldError, Id, MessageKind, NewConversation, NewMessage};
use sha2::{Digest, Sha256};

use crate::base::error::{Error, Result};
use crate::base::limits::chat::{CLIENT_ID_BYTES_MAX, TITLE_CHARS_MAX, VOICE_MS_MAX};
use crate::base::text::{normalise, normalise_name};
use crate::posts::text::{ParsedText, parse};

/// Word that names everybody.
const ALL: &str = "all";

fn field(field: &str, message: impl Into<String>) -> FieldError {
    FieldError { field: field.to_owned(), message: message.into() }
}

/// A message that was checked.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The words, and what is named in them.
    pub text: ParsedText,
    /// Names everybody.
    pub all: bool,
    /// Hash of what the client sent, hexadecimal.
    pub body: String,
}

/// Hash of a message but for the client's id: the same id with another one is a mistake.
#[must_use]
pub fn body_hash(new: &NewMessage) -> String {
    let json = serde_json::to_vec(&NewMessage { client_id: String::new(), ..new.clone() }).unwrap_or_default();
    let digest: [u8; 32] = Sha256::digest(&json).into();
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Checks a message.
///
/// # Errors
/// 422 that names each field.
pub fn message(new: &NewMessage, text_chars_max: usize) -> Result<Checked> {
    let mut errors = Vec::new();
    if new.client_id.is_empty() || new.client_id.len() > CLIENT_ID_BYTES_MAX {
        errors.push(field("client_id", format!("has 1 to {CLIENT_ID_BYTES_MAX} bytes")));
    } else if new.client_id.chars().any(char::is_control) {
        errors.push(field("client_id", "holds a control character"));
    }
    let text = text(new.text.as_deref().unwrap_or_default(), text_chars_max).unwrap_or_else(|why| {
        errors.push(field("text", why));
        ParsedText::default()
    });
    if new.forward.is_some() {
        let fields = [
            ("text", new.text.is_some()),
            ("media_id", new.media_id.is_some()),
            ("reply_to", new.reply_to.is_some()),
            ("duration_ms", new.duration_ms.is_some()),
        ];
        let said = fields.iter().filter(|(_, is_there)| *is_there);
        errors.extend(said.map(|(name, _)| field(name, "is the forwarded message's own; leave it out")));
    } else {
        kind(new, &text, errors.is_empty(), &mut errors);
    }
    if !errors.is_empty() {
        return Err(Error::fields(errors));
    }
    let all = text.mentions.iter().any(|mention| mention.handle_key == ALL);
    Ok(Checked { text, all, body: body_hash(new) })
}

fn kind(new: &NewMessage, text: &ParsedText, text_is_good: bool, errors: &mut Vec<FieldError>) {
    match new.kind {
        MessageKind::Text => {
            if text_is_good && text.text.is_empty() {
                errors.push(field("text", "is empty"));
            }
            if new.media_id.is_some() {
                errors.push(field("media_id", "belongs to messages of the kinds image, file and voice"));
            }
        }
        MessageKind::Image | MessageKind::File | MessageKind::Voice => {
            if new.media_id.is_none() {
                errors.push(field("media_id", "names the upload"));
            }
        }
        MessageKind::System | MessageKind::Unknown => {
            errors.push(field("kind", "is one of text, image, file and voice"));
        }
    }
    match (new.kind, new.duration_ms) {
        (MessageKind::Voice, None) => errors.push(field("duration_ms", "says how long a voice message is")),
        (MessageKind::Voice, Some(duration)) if duration == 0 || duration > VOICE_MS_MAX => {
            errors.push(field("duration_ms", format!("is between 1 and {VOICE_MS_MAX}")));
        }
        (MessageKind::Voice, Some(_)) | (_, None) => {}
        (_, Some(_)) => errors.push(field("duration_ms", "belongs to voice messages")),
    }
    if new.reply_to == Some(0) {
        errors.push(field("reply_to", "messages are numbered from 1"));
    }
}

fn text(raw: &str, chars_max: usize) -> Result<ParsedText, String> {
    parse(raw, chars_max).map_err(|why| why.to_string())
}

/// Checks the new words of a message that is edited.
///
/// # Errors
/// 422.
pub fn edit(raw: &str, chars_max: usize) -> Result<(ParsedText, bool)> {
    let parsed = text(raw, chars_max).map_err(|why| Error::field("text", why))?;
    let all = parsed.mentions.iter().any(|mention| mention.handle_key == ALL);
    Ok((parsed, all))
}

/// Checks a text that nobody else sees yet.
///
/// # Errors
/// 422.
pub fn draft(raw: &str, chars_max: usize) -> Result<String> {
    normalise(raw, chars_max).map_err(|why| Error::field("draft", why.to_string()))
}

/// Checks a title; an empty one is none.
///
/// # Errors
/// 422.
pub fn title(raw: &str) -> Result<String> {
    normalise_name(raw, TITLE_CHARS_MAX).map_err(|why| Error::field("title", why.to_string()))
}

/// Checks a conversation to be; answers its title.
///
/// # Errors
/// 422 that names each field.
pub fn conversation(new: &NewConversation, caller: Id, members_max: usize) -> Result<Option<String>> {
    let mut errors = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (place, member) in new.member_ids.iter().enumerate().take(members_max) {
        let name = || format!("member_ids.{place}");
        if *member == caller {
            errors.push(FieldError { field: name(), message: "is the caller, who is a member anyway".to_owned() });
        } else if !seen.insert(*member) {
            errors.push(FieldError { field: name(), message: "is named twice".to_owned() });
        }
    }
    match new.kind {
        ConversationKind::Direct => {
            if new.member_ids.len() != 1 {
                errors.push(field("member_ids", "names the one other person"));
            }
            if new.title.is_some() {
                errors.push(field("title", "belongs to groups"));
            }
            if new.history.is_some() {
                errors.push(field("history", "belongs to groups"));
            }
        }
        ConversationKind::Group => {
            if new.member_ids.len() >= members_max {
                let most = members_max.saturating_sub(1);
                errors.push(field("member_ids", format!("a group has at most {most} members beside the caller")));
            }
        }
    }
    let title = new.title.as_deref().map(title).transpose().unwrap_or_else(|error| {
        if let Error::Refused(problem) = error {
            errors.extend(problem.errors);
        }
        None
    });
    if errors.is_empty() { Ok(title.filter(|title| !title.is_empty())) } else { Err(Error::fields(errors)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(kind: MessageKind) -> NewMessage {
        NewMessage {
            client_id: "c".to_owned(),
            kind,
            text: None,
            media_id: None,
            duration_ms: None,
            reply_to: None,
            forward: None,
        }
    }

    fn fields_of(result: Result<Checked>) -> Vec<String> {
        match result {
            Ok(_) => Vec::new(),
            Err(Error::Refused(problem)) => problem.errors.into_iter().map(|error| error.field).collect(),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_message_is_refused_by_the_field_that_is_wrong() {
        let text = |text: &str| NewMessage { text: Some(text.to_owned()), ..new(MessageKind::Text) };
        assert!(fields_of(message(&text("hello"), 10)).is_empty());
        for (wrong, expected) in [
            (text(""), "text"),
            (text(" \n\u{200b}"), "text"),
            (text("eleven chars"), "text"),
            (text("a\u{7}"), "text"),
            (new(MessageKind::Image), "media_id"),
            (new(MessageKind::System), "kind"),
            (new(MessageKind::Unknown), "kind"),
            (NewMessage { client_id: String::new(), ..text("a") }, "client_id"),
            (NewMessage { client_id: "c".repeat(65), ..text("a") }, "client_id"),
            (NewMessage { media_id: Some(Id(1)), ..text("a") }, "media_id"),
            (NewMessage { duration_ms: Some(1), ..text("a") }, "duration_ms"),
            (NewMessage { media_id: Some(Id(1)), ..new(MessageKind::Voice) }, "duration_ms"),
            (NewMessage { reply_to: Some(0), ..text("a") }, "reply_to"),
        ] {
            assert_eq!(fields_of(message(&wrong, 10)), [expected], "{wrong:?}");
        }
    }

    #[test]
    fn the_hash_of_a_body_leaves_the_clients_id_aside_and_nothing_else() {
        let one = NewMessage { text: Some("a".to_owned()), ..new(MessageKind::Text) };
        assert_eq!(body_hash(&one), body_hash(&NewMessage { client_id: "other".to_owned(), ..one.clone() }));
        assert_ne!(body_hash(&one), body_hash(&NewMessage { text: Some("b".to_owned()), ..one.clone() }));
        assert_ne!(body_hash(&one), body_hash(&NewMessage { reply_to: Some(1), ..one.clone() }));
    }

    #[test]
    fn a_conversation_is_with_others_each_once() {
        let new = |kind, members: &[u64], title: Option<&str>| NewConversation {
            kind,
            member_ids: members.iter().copied().map(Id).collect(),
            title: title.map(str::to_owned),
            history: None,
        };
        use ConversationKind::{Direct, Group};
        assert!(conversation(&new(Direct, &[2], None), Id(1), 3).is_ok());
        assert_eq!(conversation(&new(Group, &[2, 3], Some(" a ")), Id(1), 3).unwrap().as_deref(), Some("a"));
        for wrong in [
            new(Direct, &[], None),
            new(Direct, &[1], None),
            new(Direct, &[2, 3], None),
            new(Direct, &[2], Some("a")),
            new(Group, &[2, 2], None),
            new(Group, &[2, 3, 4], None),
            new(Group, &[2], Some("a\u{202e}b")),
        ] {
            assert!(conversation(&wrong, Id(1), 3).is_err(), "{wrong:?}");
        }
    }
}
