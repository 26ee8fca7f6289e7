// Parts of messages that clients work out themselves, because frames are the same for all members. Pure.

import type { Id } from "../types.js";
import type { Message, Quote, Reaction, Receipt } from "./types.js";

/** Characters of a quote. */
const QUOTE_CHARS = 200;

/** A message after it was taken back, by somebody other than its sender where `by` says so. */
export function recalledOf(message: Message, by?: Id | null): Message {
  const nothing = { text: "", attachment: null, mentions: [], links: [], reactions: [], reply_to: null, edited_at: null };
  return { ...message, ...nothing, recalled: true, ...(by ? { recalled_by: by } : {}) };
}

/** The message as another one quotes it. */
export function quoted(message: Message): Quote {
  const text = message.text.length <= QUOTE_CHARS ? message.text : [...message.text].slice(0, QUOTE_CHARS).join("");
  return { seq: message.seq, sender_id: message.sender.id, kind: message.kind, text, recalled: message.recalled };
}

/** Whether a quote says what the message says. */
export function isQuoted(message: Message, quote: Quote): boolean {
  return message.recalled === quote.recalled && quoted(message).text === quote.text;
}

/**
 * Reactions of a frame with `mine` filled in. Frames name up to eight people a kind; where the caller is not among them
 * and may be among the rest, `unsure` says that the message should be read. `covered` is how many changes it stands for.
 */
export function reactedBy(
  before: readonly Reaction[] | undefined,
  now: readonly Reaction[] | undefined,
  me: Id,
  covered: number,
): { reactions: Reaction[]; unsure: boolean } {
  let unsure = false;
  const reactions = (now ?? []).map((reaction) => {
    if (reaction.user_ids.includes(me)) return { ...reaction, mine: true };
    if (reaction.count <= reaction.user_ids.length) return { ...reaction, mine: false };
    const was = before?.find((one) => one.emoji === reaction.emoji);
    const mine = was?.mine ?? false;
    const same = was !== undefined && reaction.count === was.count && `${reaction.user_ids}` === `${was.user_ids}`;
    // One more, and the latest is somebody else; or one less, and it cannot have been the caller's.
    const clear = covered === 1 && (!mine || reaction.count > (was?.count ?? 0));
    unsure ||= !same && !clear;
    return { ...reaction, mine };
  });
  return { reactions, unsure };
}

/** Way of an own message: `read` and `delivered` when all others have it so. */
export function progress(message: Message, others: Iterable<Receipt>): "sent" | "delivered" | "read" {
  let [least, read, any] = [Infinity, Infinity, false];
  for (const receipt of others) {
    if (receipt.user_id === message.sender.id) continue;
    any = true;
    read = Math.min(read, receipt.read_seq);
    least = Math.min(least, Math.max(receipt.delivered_seq, receipt.read_seq));
  }
  if (!any || least < message.seq) return "sent";
  return read >= message.seq ? "read" : "delivered";
}
