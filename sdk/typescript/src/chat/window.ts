// Messages of one conversation, by number and without a hole: what came over HTTP and what was pushed, put together.
// Pure. A message or change behind a hole is not taken: it only tells that there is one, and `wants` says what to read.

import type { Id } from "../types.js";
import { isQuoted, quoted, reactedBy, recalledOf } from "./derive.js";
import type { Change, Message, MessageChanged, MessagePage, MessageRecalled } from "./types.js";

/** Messages kept at once; beyond it the far end is let go and can be read again. */
export const WINDOW_MAX = 2_000;
/** Messages, or changes, that are read one by one after a pause; beyond it the newest page is read instead. */
export const BEHIND_MAX = 500;

/** A message with the last change that is known to be in it. */
interface Held {
  message: Message;
  changed: number;
}

/** Window as it is kept in storage. */
export interface KeptWindow {
  from: number;
  messages: Message[];
  /** The last change that is in all of them. */
  applied: number;
}

/** Part of the history that is missing. */
export type Hole =
  /** Messages above `after`. */
  | { kind: "after"; after: number }
  /** Changes above `after`. */
  | { kind: "changes"; after: number }
  /** More than is worth reading one by one: the newest page is read in place of all. */
  | { kind: "newest" };

export class Window {
  #items: Held[] = [];
  /** Number of the first message, or the one that it would have. */
  #from = 1;
  #applied = 0;
  #last = 0;
  #change = 0;
  /** Messages up to here were changed before they came: they must be read, for what is pushed is older. */
  #readTo = 0;
  #messages: readonly Message[] | null = null;
  /** Whether the newest messages are wanted; not while the reader looks at an old part. */
  following = true;

  constructor(private readonly me: Id) {}

  /** Number of the first message here. */
  get from(): number {
    return this.#from;
  }

  /** Number of the last message here; one less than `from` when there is none. */
  get to(): number {
    return this.#from + this.#items.length - 1;
  }

  /** The newest message that is known of. */
  get last(): number {
    return this.#last;
  }

  /** Changes up to here are in all messages. */
  get applied(): number {
    return this.#applied;
  }

  /** The newest change that is known of. */
  get change(): number {
    return this.#change;
  }

  /** Messages, oldest first; the same array until one of them changes. */
  get messages(): readonly Message[] {
    this.#messages ??= this.#items.map((held) => (held.message = this.requoted(held.message)));
    return this.#messages;
  }

  at(seq: number): Message | undefined {
    return this.#items[seq - this.#from]?.message;
  }

  /** The first thing that is missing, or `null`. */
  hole(): Hole | null {
    if (this.following && this.#last > this.to) {
      const far = this.#last - this.to > BEHIND_MAX || this.#items.length === 0;
      return far ? { kind: "newest" } : { kind: "after", after: this.to };
    }
    if (this.#change <= this.#applied) return null;
    return this.#change - this.#applied > BEHIND_MAX ? { kind: "newest" } : { kind: "changes", after: this.#applied };
  }

  /** Heads that a conversation or a page tells. */
  know(last: number, change: number): void {
    this.#last = Math.max(this.#last, last);
    this.#change = Math.max(this.#change, change);
  }

  /** Begins anew behind a message and a change, with that message if it is given. */
  restart(last: number, change: number, newest?: Message | null): void {
    const has = newest?.seq === last;
    this.#items = has ? [{ message: newest, changed: change }] : [];
    this.#from = has ? last : last + 1;
    this.#applied = change;
    this.#readTo = 0;
    this.#touched();
    this.know(last, change);
  }

  /** Message that was pushed, or answered to its sender; whether it was added. */
  push(message: Message): boolean {
    const { seq } = message;
    this.#last = Math.max(this.#last, seq);
    if (seq !== this.to + 1 || seq <= this.#readTo) return false;
    this.#items.push({ message, changed: 0 });
    this.#trimOldest();
    this.#touched();
    return true;
  }

  /** Change that was pushed. Answers the message as it was, if it is here and the change is news to it. */
  changed(frame: MessageChanged | MessageRecalled): Message | undefined {
    this.#change = Math.max(this.#change, frame.change_seq);
    if (frame.after > this.#applied) return undefined;
    const covered = frame.change_seq - frame.after;
    this.#applied = Math.max(this.#applied, frame.change_seq);
    if ("message" in frame) return this.#put(frame.message.seq, frame.change_seq, (before) => pushed(before, frame.message, this.me, covered));
    return this.#put(frame.seq, frame.change_seq, (before) => recalledOf(before, frame.recalled_by));
  }

  /** Changes that were read, all above `after` up to `through`; whether they fit. */
  changesRead(after: number, items: readonly Change[], through: number): boolean {
    this.#change = Math.max(this.#change, through);
    if (after > this.#applied) return false;
    // Later ones of a message stand in for the earlier: each carries the message as it is now.
    for (const { seq, message } of items) if (message) this.#put(seq, through, () => message, true);
    this.#applied = Math.max(this.#applied, through);
    return true;
  }

  /**
   * A page, its items in either order, with every change up to `page.change_seq` in them; whether it touches what is here.
   * A page older than `applied` must have been brought up to it before, by [overlaid].
   */
  pageRead(page: MessagePage): boolean {
    this.know(page.last_seq, page.change_seq);
    const items = ascending(page.items);
    const [first, end] = [items[0]?.seq, items.at(-1)?.seq];
    if (first === undefined || end === undefined) return true;
    if (this.#items.length === 0 || first > this.to + 1 || end < this.#from - 1) return false;
    for (const message of items) {
      const held = this.#items[message.seq - this.#from];
      if (held && held.changed < page.change_seq) Object.assign(held, { message, changed: page.change_seq });
    }
    const fresh = (message: Message): Held => ({ message, changed: page.change_seq });
    const before = items.filter(({ seq }) => seq < this.#from).map(fresh);
    const behind = items.filter(({ seq }) => seq > this.to).map(fresh);
    const whole = first <= this.#from && end >= this.to;
    this.#items = [...before, ...this.#items, ...behind];
    this.#from -= before.length;
    if (whole) this.#applied = Math.max(this.#applied, page.change_seq);
    if (behind.length > 0) this.#trimOldest();
    else this.#trimNewest();
    this.#touched();
    return true;
  }

  /** A page in place of everything. */
  replace(page: MessagePage): void {
    const items = ascending(page.items);
    this.#items = items.map((message) => ({ message, changed: page.change_seq }));
    this.#from = items[0]?.seq ?? page.last_seq + 1;
    this.#applied = page.change_seq;
    this.#readTo = 0;
    this.know(page.last_seq, page.change_seq);
    this.#touched();
  }

  /** Takes a single message as it was read now: `change` is at least as old as the reading. */
  oneRead(message: Message, change: number): void {
    this.#put(message.seq, change, () => message, true);
  }

  /** The newest `max` messages, to be kept. */
  keep(max: number): KeptWindow {
    const messages = this.messages.slice(-max);
    return { from: this.#from + this.#items.length - messages.length, messages, applied: this.#applied };
  }

  /** Takes what was kept. */
  restore(kept: KeptWindow): void {
    this.restart(kept.from - 1, kept.applied);
    this.#items = kept.messages.map((message) => ({ message, changed: 0 }));
    this.know(this.to, kept.applied);
  }

  /** Lets go of all but the newest `max`. */
  shrink(max: number): void {
    this.#dropFirst(this.#items.length - max);
  }

  /** Puts another content in the place of a message; and the quotes of it follow. */
  #put(seq: number, changed: number, content: (before: Message) => Message, again = false): Message | undefined {
    if (seq > this.to) {
      this.#readTo = Math.max(this.#readTo, seq);
      this.#last = Math.max(this.#last, seq);
    }
    const held = this.#items[seq - this.#from];
    if (!held || changed < held.changed || (changed === held.changed && !again)) return undefined;
    const before = held.message;
    const now = content(before);
    Object.assign(held, { message: now, changed });
    for (const other of this.#items) {
      if (other.message.reply_to?.seq === seq) other.message = { ...other.message, reply_to: quoted(now) };
    }
    this.#touched();
    return before;
  }

  /** The message with its quote as the quoted message is here: what is shown agrees with itself. */
  requoted(message: Message, beside: readonly Message[] = []): Message {
    const quote = message.reply_to;
    const original = quote && (this.at(quote.seq) ?? beside.find(({ seq }) => seq === quote.seq));
    if (!original || isQuoted(original, quote)) return message;
    return { ...message, reply_to: quoted(original) };
  }

  #trimOldest(): void {
    this.#dropFirst(this.#items.length - WINDOW_MAX);
  }

  #trimNewest(): void {
    if (this.#items.length <= WINDOW_MAX) return;
    this.#items.length = WINDOW_MAX;
    // The reader is far up: the newest come when they are asked for.
    this.following = false;
  }

  #dropFirst(count: number): void {
    if (count <= 0) return;
    this.#items.splice(0, count);
    this.#from += count;
    this.#touched();
  }

  #touched(): void {
    this.#messages = null;
  }
}

/** The page with later changes in it, which were read up to `through`. */
export function overlaid(page: MessagePage, changes: readonly Change[], through: number): MessagePage {
  const now = new Map(changes.map(({ seq, message }) => [seq, message]));
  const items = page.items.map((message) => {
    const own = now.get(message.seq) ?? message;
    const original = own.reply_to && now.get(own.reply_to.seq);
    return original ? { ...own, reply_to: quoted(original) } : own;
  });
  return { ...page, items, change_seq: through };
}

function ascending(items: readonly Message[]): Message[] {
  return [...items].sort((a, b) => a.seq - b.seq);
}

function pushed(before: Message, now: Message, me: Id, covered: number): Message {
  return { ...now, reactions: reactedBy(before.reactions, now.reactions, me, covered).reactions };
}
