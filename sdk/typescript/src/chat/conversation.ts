// State of one conversation: as the server told it last, and what was pushed since. Pure: `wants` says what is to be read
// next, and each answer is taken by a method of its own.

import type { Id } from "../types.js";
import { reactedBy } from "./derive.js";
import type {
  Change,
  Conversation,
  Member,
  Message,
  MessageChanged,
  MessagePage,
  MessageRecalled,
  Receipt,
} from "./types.js";
import { type Hole, type KeptWindow, Window } from "./window.js";

/** Messages kept of a conversation that nobody looks at. */
const CLOSED_MAX = 50;
/** Counting of mentions stops here, as the server's does. */
const MENTIONS_MAX = 100;
/** Messages that wait to be read one by one; beyond it the newest page is read instead. */
const UNSURE_MAX = 20;
/** Messages that a screen shows first. */
export const SCREEN = 50;

/** Part of a conversation that is to be read. */
export type Want =
  | Hole
  /** The conversation itself. */
  | { kind: "conversation" }
  /** Messages below the first one here. */
  | { kind: "before"; before: number }
  /** A single message, of which a frame said too little. */
  | { kind: "message"; seq: number }
  | { kind: "receipts" }
  | { kind: "members" };

/** Conversation as it is kept in storage. */
export interface KeptConversation {
  conversation: Conversation;
  window: KeptWindow;
  receipts: Receipt[];
  members: Member[] | null;
  /** The read mark as the server has it; the conversation's may be ahead. */
  read_told: number;
}

export class ConversationState {
  readonly window: Window;
  #told: Conversation;
  /** Number of the reading that `#told` is of; later ones have higher numbers. */
  #reading = 0;
  #unread = 0;
  #mentions = 0;
  #read = 0;
  #readTold = 0;
  /** Messages up to here are in the numbers above. */
  #counted = 0;
  #view: Conversation | null = null;
  #receipts = new Map<Id, Receipt>();
  #members: Member[] | null = null;
  #stale = false;
  #unsure = new Set<number>();
  #receiptsStale = false;
  #membersStale = false;
  #open = 0;
  /** Messages up to here were looked through for news of members. */
  #scanned = 0;
  /** Nothing is below the first message here, whatever the numbers say. */
  #atStart = false;
  /** The count above the read mark is the server's of before the mark moved. */
  #uncounted = false;
  #left = false;

  constructor(
    private readonly me: Id,
    told: Conversation,
    reading: number,
  ) {
    this.window = new Window(me);
    this.#told = told;
    this.#restart(told);
    this.#take(told, reading);
  }

  static restored(me: Id, kept: KeptConversation): ConversationState {
    const state = new ConversationState(me, kept.conversation, 0);
    state.window.restore(kept.window);
    state.window.know(kept.conversation.last_seq, kept.conversation.change_seq);
    for (const receipt of kept.receipts) state.#receipts.set(receipt.user_id, receipt);
    state.#members = kept.members;
    state.#readTold = kept.read_told;
    return state;
  }

  keep(max: number): KeptConversation {
    const receipts = [...this.#receipts.values()];
    const [window, members, read_told] = [this.window.keep(max), this.#members, this.#readTold];
    return { conversation: this.view, window, receipts, members, read_told };
  }

  get id(): Id {
    return this.#told.id;
  }

  /** The conversation as it is now; the same object until something of it changes. */
  get view(): Conversation {
    this.#view ??= {
      ...this.#told,
      last_message: this.#newest(),
      last_seq: Math.max(this.#told.last_seq, this.window.to),
      change_seq: this.window.applied,
      read_seq: this.#read,
      unread_count: this.#unread,
      mention_count: Math.min(this.#mentions, MENTIONS_MAX),
    };
    return this.#view;
  }

  /** Number of the reading that told it last. */
  get reading(): number {
    return this.#reading;
  }

  /** Progress of the members, as far as it was asked for or told. */
  get receipts(): ReadonlyMap<Id, Receipt> {
    return this.#receipts;
  }

  /** Members, once they were read. */
  get members(): readonly Member[] | null {
    return this.#members;
  }

  /** The read mark, where the server does not have it yet. */
  get readUntold(): number | null {
    return this.#read > this.#readTold ? this.#read : null;
  }

  /** The server has the read mark. */
  readIsTold(seq: number): void {
    this.#readTold = Math.max(this.#readTold, seq);
  }

  /** The server has the read mark: what could not be counted here is asked for. */
  recounted(): void {
    this.#stale ||= this.#uncounted;
    this.#uncounted = false;
  }

  /** The person is in it no more. A frame may be late: `unsure` reads once whether it still is so. */
  left(unsure: boolean): void {
    this.#left = true;
    this.#stale = unsure;
    this.#told = { ...this.#told, left: true };
    this.#touched();
  }

  /** Whether older messages can be read. */
  get hasOlder(): boolean {
    return !this.#atStart && this.window.from > Math.max(1, this.#told.visible_from);
  }

  get isOpen(): boolean {
    return this.#open > 0;
  }

  /** Somebody looks at it: messages, receipts and members are wanted whole from now on. */
  open(): void {
    this.#open += 1;
    if (this.#open > 1) return;
    this.#receiptsStale = true;
    this.#membersStale = true;
  }

  close(): void {
    this.#open = Math.max(0, this.#open - 1);
    if (this.#open > 0) return;
    this.window.following = true;
    this.window.shrink(CLOSED_MAX);
  }

  /** Notes that it may have changed in ways that nobody told. */
  stale(): void {
    this.#stale = true;
  }

  /** Notes that receipts may have been missed; they are current values, which nobody repeats. */
  receiptsStale(): void {
    this.#receiptsStale = true;
  }

  /** The next thing to read, or `null` when all is whole. A conversation nobody looks at is read without its messages. */
  wants(): Want | null {
    if (this.#stale) return { kind: "conversation" };
    if (this.#left) return null;
    const hole = this.window.hole();
    if (!this.isOpen) return hole || this.#unsure.has(this.window.to) ? { kind: "conversation" } : null;
    if (hole) return hole;
    const few = this.window.messages.length < SCREEN;
    if (few && this.hasOlder) return { kind: "before", before: this.window.from };
    const [seq] = this.#unsure;
    if (seq !== undefined) return this.#unsure.size > UNSURE_MAX ? { kind: "newest" } : { kind: "message", seq };
    if (this.#receiptsStale) return { kind: "receipts" };
    return this.#membersStale ? { kind: "members" } : null;
  }

  /** A reading begins: what is noted from now on is not in it. Answers what to do when it fails. */
  reads(want: Want): () => void {
    switch (want.kind) {
      case "conversation":
        this.#stale = false;
        return () => (this.#stale = true);
      case "receipts":
        this.#receiptsStale = false;
        return () => (this.#receiptsStale = true);
      case "members":
        this.#membersStale = false;
        return () => (this.#membersStale = true);
      case "message":
        this.#unsure.delete(want.seq);
        return () => this.#unsure.add(want.seq);
      default:
        return () => {};
    }
  }

  /** The conversation was read, or came in a list; `reading` is the number of that reading. */
  told(told: Conversation, reading: number): void {
    // One that began before the last and was answered after it: nobody knows which is newer.
    if (reading < this.#reading) this.#stale = true;
    else this.#take(told, reading);
  }

  /** A message was pushed, or answered to its sender. */
  pushed(message: Message): void {
    const { id } = message.sender;
    // Whoever speaks has read what came before, and no receipt says so.
    if (id !== this.me && message.kind !== "system") {
      this.#advance({ user_id: id, delivered_seq: message.seq, read_seq: message.seq });
    }
    if (this.window.push(message)) this.#joined();
    if (!this.isOpen) this.window.shrink(CLOSED_MAX);
    this.#touched();
  }

  /** A change to a message was pushed. */
  changed(frame: MessageChanged | MessageRecalled): void {
    const seq = "message" in frame ? frame.message.seq : frame.seq;
    const before = this.window.changed(frame);
    if (before) this.#check(before, frame);
    else if (seq === this.#told.last_message?.seq && !this.window.at(seq)) this.#stale = true;
    this.#touched();
  }

  /** The conversation changed in a way that only reading tells. */
  updated(): void {
    this.#stale = true;
  }

  /** Members have come further, as a frame or a reading tells. */
  receiptsRead(items: readonly Receipt[]): void {
    for (const item of items) this.#advance(item);
    const own = items.find((item) => item.user_id === this.me);
    if (own) this.#ownRead(own);
    this.#touched();
  }

  membersRead(items: Member[]): void {
    this.#members = items;
    this.#touched();
  }

  /** The caller has read up to here, on this device or another; whether that is news. */
  readTo(seq: number): boolean {
    const to = Math.min(seq, Math.max(this.#counted, this.window.last));
    if (to <= this.#read) return false;
    this.#read = to;
    this.#recount();
    this.#touched();
    return true;
  }

  /** The newest page, in place of what was here. */
  replaced(page: MessagePage): void {
    this.window.replace(page);
    this.#unsure.clear();
    this.#atStart = false;
    this.#joined();
    this.#touched();
  }

  /** A page that is to be joined to what is here; whether it fits. */
  pageRead(page: MessagePage): boolean {
    const fits = this.window.pageRead(page);
    this.#joined();
    this.#touched();
    return fits;
  }

  /** Nothing was found below the first message. */
  atStart(): void {
    this.#atStart = true;
  }

  /** Changes above `after` were read, up to `through`. */
  changesRead(after: number, items: readonly Change[], through: number): void {
    const mentioned = items.some(({ seq, message }) => seq > this.#read && message && this.#names(message) !== this.#named(seq));
    if (mentioned) this.#stale = true;
    this.window.changesRead(after, items, through);
    this.#touched();
  }

  messageRead(message: Message, change: number): void {
    this.window.oneRead(message, change);
    this.#touched();
  }

  #take(told: Conversation, reading: number): void {
    this.#reading = reading;
    this.#told = told;
    this.#left = told.left ?? false;
    const behind = this.window.hole() !== null || told.last_seq > this.window.to || told.change_seq > this.window.applied;
    this.window.know(told.last_seq, told.change_seq);
    // Without a reader there is no need for the messages in between.
    if (behind && !this.isOpen && told.last_seq >= this.window.last && told.change_seq >= this.window.change) {
      this.#restart(told);
    }
    const newest = told.last_message;
    if (newest) this.window.oneRead(newest, told.change_seq);
    if (newest && newest.seq === this.window.to) this.#unsure.delete(newest.seq);
    const local = this.#read;
    this.#read = told.read_seq;
    this.#readTold = Math.max(this.#readTold, told.read_seq);
    this.#unread = told.unread_count;
    this.#mentions = told.mention_count;
    this.#counted = told.last_seq;
    this.#joined();
    if (this.#members && this.#members.length !== told.member_count) this.#membersStale = true;
    if (local > this.#read) {
      this.#read = local;
      this.#recount();
    }
    this.#touched();
  }

  #restart(told: Conversation): void {
    this.window.restart(told.last_seq, told.change_seq, told.last_message);
    this.#unsure.clear();
    this.#atStart = false;
    this.#scanned = this.window.to;
  }

  #ownRead(receipt: Receipt): void {
    this.readIsTold(receipt.read_seq);
    this.readTo(receipt.read_seq);
  }

  /** Messages came behind those that were here. */
  #joined(): void {
    this.#count();
    for (let seq = Math.max(this.#scanned + 1, this.window.from); seq <= this.window.to; seq += 1) {
      if (this.window.at(seq)?.kind === "system") this.#membersStale = true;
    }
    this.#scanned = this.window.to;
    // However they came: pushed, or in a page that filled what was missing before them.
    for (let seq = Math.max(this.#told.last_seq + 1, this.window.from); seq <= this.window.to; seq += 1) {
      const message = this.window.at(seq);
      if (message && this.#wakes(message)) this.#stale = true;
    }
  }

  /** Counts messages that came behind those that are counted. */
  #count(): void {
    if (this.window.to <= this.#counted) return;
    if (this.window.from > this.#counted + 1) {
      this.#stale = true;
      return;
    }
    for (let seq = this.#counted + 1; seq <= this.window.to; seq += 1) {
      const message = this.window.at(seq);
      if (message) this.#countOne(message);
    }
    this.#counted = this.window.to;
  }

  #countOne(message: Message): void {
    if (message.sender.id === this.me && message.kind !== "system") {
      // Who writes has read.
      this.#read = message.seq;
      this.readIsTold(message.seq);
      [this.#unread, this.#mentions] = [0, 0];
    } else if (message.seq > this.#read) {
      this.#unread += message.kind === "system" ? 0 : 1;
      this.#mentions += this.#names(message) ? 1 : 0;
    }
  }

  /** Counts what is above the read mark anew; where the messages are not here, the server is asked. */
  #recount(): void {
    const known = this.window.from <= this.#read + 1 && this.window.to >= this.#counted;
    if (this.#read < this.#counted && !known) {
      // The server is asked; if it does not have the mark yet, after it was told.
      if (this.#read > this.#readTold) this.#uncounted = true;
      else this.#stale = true;
      return;
    }
    [this.#unread, this.#mentions] = [0, 0];
    for (let seq = this.#read + 1; seq <= this.#counted; seq += 1) {
      const message = this.window.at(seq);
      if (message) this.#countOne(message);
    }
  }

  /** Whether the server answers more than the message itself: it may have left the archive, or a request was answered. */
  #wakes(message: Message): boolean {
    const { personal, is_request, hidden } = this.#told;
    if (hidden) return true;
    if (message.sender.id === this.me) return is_request || personal.marked_unread === true;
    return personal.archived === true;
  }

  /** Notes what a frame about a message did not say. */
  #check(before: Message, frame: MessageChanged | MessageRecalled): void {
    if (before.seq > this.#read && this.#names(before) !== this.#names(this.window.at(before.seq) ?? before)) this.#stale = true;
    // Who took it back, and what became of the rest.
    if (!("message" in frame)) this.#unsure.add(frame.seq);
    else if (reactedBy(before.reactions, frame.message.reactions, this.me, frame.change_seq - frame.after).unsure) {
      this.#unsure.add(before.seq);
    }
  }

  #named(seq: number): boolean {
    const message = this.window.at(seq);
    return message !== undefined && this.#names(message);
  }

  #names(message: Message): boolean {
    if (message.sender.id === this.me) return false;
    return message.mentions_all === true || (message.mentions ?? []).some((mention) => mention.id === this.me);
  }

  #advance({ user_id, delivered_seq, read_seq }: Receipt): void {
    const before = this.#receipts.get(user_id);
    const read = Math.max(before?.read_seq ?? 0, read_seq);
    const delivered = Math.max(before?.delivered_seq ?? 0, delivered_seq);
    this.#receipts.set(user_id, { user_id, delivered_seq: delivered, read_seq: read });
  }

  /** The newest message that is here or was told. */
  #newest(): Message | null | undefined {
    const { last_message } = this.#told;
    const own = this.window.messages.at(-1);
    if (own && own.seq >= (last_message?.seq ?? 0)) return own;
    return (last_message && this.window.at(last_message.seq)) ?? last_message;
  }

  #touched(): void {
    this.#view = null;
  }
}
