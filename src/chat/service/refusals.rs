//! Refusals of the fold as whoever asked hears them: what is not theirs is not there, and who blocks whom is not said.
//! Pure.

use fanfare_protocol::Code;

use crate::base::error::Error;
use crate::base::limits::chat::{EDITS_MAX, INVITES_MAX, PINS_MAX, REACTION_KINDS_MAX};
use crate::chat::fold::outcome::ChatRefusal;
use crate::chat::fold::record::ChatAct;

/// Refusal for want of room, which names what is too much.
fn full(act: &ChatAct) -> Error {
    match act {
        ChatAct::Reacted { .. } => {
            Error::field("emoji", format!("is one kind too many; a message has at most {REACTION_KINDS_MAX}"))
        }
        ChatAct::Pinned { .. } => Error::field("seq", format!("is one too many; at most {PINS_MAX} are pinned")),
        ChatAct::Edited { .. } => Error::field("text", format!("was changed {EDITS_MAX} times, which is the most")),
        ChatAct::Added { .. } => Error::field("user", "is one too many; the group is full"),
        ChatAct::Joined { .. } => Error::field("token", "lets nobody in now; the group is full"),
        ChatAct::Accepted { .. } => Error::field("id", "names a group that is full"),
        ChatAct::Created { .. } => Error::field("member_ids", "are too many for a group"),
        ChatAct::InviteMade { .. } => {
            let detail = format!("{INVITES_MAX} invites of the group are good, which is the most; revoke some first");
            Error::refused(Code::ValidationFailed, detail)
        }
        _ => Error::refused(Code::ValidationFailed, "there is no room for more"),
    }
}

/// The answer to a refusal of `act`.
pub(super) fn error(refusal: ChatRefusal, act: &ChatAct) -> Error {
    let forbidden = |detail: &str| Error::refused(Code::Forbidden, detail);
    match refusal {
        ChatRefusal::NotFound => Error::not_found("conversation"),
        ChatRefusal::NoMessage => Error::not_found("message"),
        ChatRefusal::NoMember => Error::not_found("member"),
        ChatRefusal::NoInvite => Error::not_found("invite"),
        ChatRefusal::Role => role(),
        ChatRefusal::Closed => forbidden("this conversation takes no messages from you"),
        ChatRefusal::Announcements => forbidden("only admins write in this conversation"),
        ChatRefusal::TooLate => forbidden("the time in which this message can be changed is over"),
        ChatRefusal::Reused => Error::field("client_id", "was used for another message; choose a new one"),
        ChatRefusal::Fixed if matches!(act, ChatAct::Edited { said, .. } if said.text.is_empty()) => {
            Error::field("text", "is empty")
        }
        ChatRefusal::Fixed => {
            Error::field("seq", "names a message that cannot be changed: it was recalled, or is no text")
        }
        ChatRefusal::NoMedia => {
            Error::field("media_id", "names an upload that is not there any more, or it was passed on too late")
        }
        ChatRefusal::ReplyTo => Error::field("reply_to", "names no message that can be answered"),
        ChatRefusal::Full => full(act),
        ChatRefusal::Kind => of_pairs(),
        ChatRefusal::Slow(retry_after_s) => {
            Error::RateLimited { reason: "the conversation is in slow mode", retry_after_s }
        }
    }
}

/// The answer to somebody whose role is too low.
pub(super) fn role() -> Error {
    Error::refused(Code::Forbidden, "your role in the conversation does not allow it")
}

/// The answer to what groups have, about a direct conversation.
pub(super) fn of_pairs() -> Error {
    Error::refused(Code::Conflict, "a conversation of this kind does not have that")
}
