//! Refusals of the fold as whoever asked hears them: what is not theirs is not there, and who blocks whom is not said.
//! Pure.

use fanfare_protocol::Code;

use crate::base::error::Error;
use crate::chat::fold::outcome::ChatRefusal;

/// The answer to a refusal.
pub(super) fn error(refusal: ChatRefusal) -> Error {
    let forbidden = |detail: &str| Error::refused(Code::Forbidden, detail);
    match refusal {
        ChatRefusal::NotFound => Error::not_found("conversation"),
        ChatRefusal::NoMessage => Error::not_found("message"),
        ChatRefusal::NoMember => Error::not_found("member"),
        ChatRefusal::NoInvite => Error::not_found("invite"),
        ChatRefusal::Role => forbidden("your role in the conversation does not allow it"),
        ChatRefusal::Closed => forbidden("this conversation takes no messages from you"),
        ChatRefusal::Announcements => forbidden("only admins write in this conversation"),
        ChatRefusal::TooLate => forbidden("the time in which this message can be changed is over"),
        ChatRefusal::Reused => Error::field("client_id", "was used for another message; choose a new one"),
        ChatRefusal::Fixed => {
            Error::field("seq", "names a message that cannot be changed: it was recalled, or is no text")
        }
        ChatRefusal::NoMedia => {
            Error::field("media_id", "names an upload that is not there any more, or it was passed on too late")
        }
        ChatRefusal::ReplyTo => Error::field("reply_to", "names no message that can be answered"),
        ChatRefusal::Full => Error::refused(Code::ValidationFailed, "there is no room for more"),
        ChatRefusal::Kind => Error::refused(Code::Conflict, "a conversation of this kind does not have that"),
        ChatRefusal::Slow(retry_after_s) => {
            Error::RateLimited { reason: "the conversation is in slow mode", retry_after_s }
        }
    }
}
