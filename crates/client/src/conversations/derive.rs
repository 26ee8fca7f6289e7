//! Parts of messages that clients work out themselves, because frames are the same for all members. Pure.

use fanfare_protocol::{Id, Message, Quote, Reaction, Receipt};

use super::lines::Way;

/// Characters of a quote.
const QUOTE_CHARS: usize = 200;

/// A message after it was taken back, by somebody other than its sender where `by` says so.
pub(super) fn recalled(message: &Message, by: Option<Id>) -> Message {
    Message {
        text: String::new(),
        attachment: None,
        mentions: Vec::new(),
        mentions_all: false,
        links: Vec::new(),
        reactions: Vec::new(),
        reply_to: None,
        edited_at: None,
        recalled: true,
        recalled_by: by,
        ..message.clone()
    }
}

/// The message as another one quotes it.
pub(super) fn quoted(message: &Message) -> Quote {
    let text = message.text.chars().take(QUOTE_CHARS).collect();
    Quote { seq: message.seq, sender_id: Some(message.sender.id), kind: message.kind, text, recalled: message.recalled }
}

/// Reactions of a frame with `mine` filled in, and whether that is a guess: frames name up to eight people a kind, and
/// the caller may be among the rest. `covered` is how many changes the frame stands for.
pub(super) fn reacted(before: &[Reaction], now: &[Reaction], me: Id, covered: u64) -> (Vec<Reaction>, bool) {
    let mut unsure = false;
    let fill = |reaction: &Reaction| {
        let is_named = reaction.user_ids.contains(&me);
        if is_named || reaction.count <= reaction.user_ids.len() as u64 {
            return Reaction { mine: Some(is_named), ..reaction.clone() };
        }
        let was = before.iter().find(|one| one.emoji == reaction.emoji);
        let (mine, count) = was.map_or((false, 0), |was| (was.mine.unwrap_or_default(), was.count));
        let is_same = was.is_some_and(|was| was.count == reaction.count && was.user_ids == reaction.user_ids);
        // One more, and the latest is somebody else; or one less, and it cannot have been the caller's.
        let is_clear = covered == 1 && (!mine || reaction.count > count);
        unsure |= !is_same && !is_clear;
        Reaction { mine: Some(mine), ..reaction.clone() }
    };
    (now.iter().map(fill).collect(), unsure)
}

/// Way of an own message: as far as all others have it.
pub(super) fn progress<'a>(message: &Message, receipts: impl Iterator<Item = &'a Receipt>) -> Way {
    let mut others = receipts.filter(|receipt| receipt.user_id != message.sender.id).peekable();
    if others.peek().is_none() {
        return Way::Sent;
    }
    others.fold(Way::Read, |way, receipt| {
        let own = if receipt.read_seq >= message.seq {
            Way::Read
        } else if receipt.delivered_seq >= message.seq {
            Way::Delivered
        } else {
            Way::Sent
        };
        way.min(own)
    })
}

/// Whether a message names the person, other than by themselves.
pub(super) fn names(message: &Message, me: Id) -> bool {
    message.sender.id != me && (message.mentions_all || message.mentions.iter().any(|mention| mention.id == me))
}
