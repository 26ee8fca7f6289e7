// Conversations as applications hold them: the list, the messages of those that are open, what is on its way. What is
// shown is whole and in order; holes are read before anything behind them is shown.

import type { Client } from "../client.js";
import { FanfareError } from "../errors.js";
import { hash } from "../hash.js";
import { randomKey } from "../random.js";
import { watchPage } from "../realtime/page.js";
import type { Realtime } from "../realtime/realtime.js";
import { platformTabs, type TabPlatform } from "../realtime/tabs.js";
import type { Id } from "../types.js";
import { ConversationState } from "./conversation.js";
import { Keeper } from "./keeper.js";
import { type Line, Lines } from "./lines.js";
import { byNewest, type Folder, unreadOf } from "./list.js";
import type { ChatOptions, Draft } from "./options.js";
import { ChatOutbox, type Outgoing } from "./outbox.js";
import { Reader } from "./reader.js";
import { Receipts } from "./receipts.js";
import { Shared } from "./shared.js";
import { type ChatStorage, MemoryStorage } from "./storage.js";
import { Syncer } from "./sync.js";
import { Typers } from "./typing.js";
import type {
  Conversation,
  ConversationUpdated,
  KeyedMessage,
  Member,
  Message,
  NewConversation,
  Personal,
  Receipt,
  UnreadConversations,
} from "./types.js";

/** For tests: another browser. */
export interface ChatSeams {
  tabs?: TabPlatform | null | undefined;
}

export class Chat {
  readonly me: Id;
  readonly #client: Client;
  readonly #realtime: Realtime;
  readonly #options: ChatOptions;
  readonly #seams: ChatSeams;
  readonly #states = new Map<Id, ConversationState>();
  readonly #lines: Lines;
  readonly #listeners = new Set<(id: Id | null) => void>();
  #list: readonly Conversation[] | null = null;
  readonly #storage: ChatStorage;
  /** Names the storage, and what tabs share. */
  readonly #name: string;
  /** Number of the last reading over HTTP that began. */
  #readings = 0;
  /** Conversations that are not known and something came for, with the last reading that had begun. */
  readonly #unknown = new Map<Id, number>();
  /** Number of those who look at a conversation, by its id. */
  readonly #openers = new Map<Id, number>();
  /** The last opening of realtime that was heard of. */
  #opened: string | null = null;
  #outbox!: ChatOutbox;
  #reader!: Reader;
  #syncer!: Syncer;
  #keeper!: Keeper;
  #receipts!: Receipts;
  #typers!: Typers;
  #shared!: Shared;
  #running = false;
  #ends: (() => void)[] = [];

  constructor(client: Client, realtime: Realtime, options: ChatOptions, seams: ChatSeams = {}) {
    this.me = options.me;
    this.#client = client;
    this.#realtime = realtime;
    this.#options = options;
    this.#seams = seams;
    this.#name = `fanfare-chat:${hash(`${client.http.baseUrl} ${options.me}`)}`;
    this.#storage = options.storage?.(this.#name) ?? new MemoryStorage();
    this.#lines = new Lines(this.me, (id) => this.#states.get(id), () => this.#outbox);
    this.#build();
  }

  /** Shows what was kept, at once; then goes on from there until [stop]. Resolves when what was kept is shown. */
  async start(): Promise<this> {
    if (this.#running) return this;
    this.#running = true;
    this.#build();
    await this.#restore();
    if (!this.#running) return this;
    this.#listen();
    this.#shared.start(this.#seams.tabs === undefined ? platformTabs() : this.#seams.tabs, this.#name);
    this.#syncer.sync(0);
    for (const id of this.#states.keys()) this.#receipts.read(id);
    return this;
  }

  /** Ends; `forget` drops everything that was kept too, as a log-out does. */
  async stop(options: { forget?: boolean | undefined } = {}): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    for (const end of this.#ends.splice(0)) end();
    this.#reader.stop();
    this.#syncer.stop();
    this.#receipts.stop();
    this.#typers.stop();
    // A last writing, while this tab may still write.
    const kept = this.#keeper.stop(options.forget ?? false);
    this.#shared.stop();
    await kept;
    if (!options.forget) return;
    for (const entry of this.#outbox.all()) this.#outbox.forget(entry.message.client_id);
    this.#lines.clear();
    for (const id of [...this.#states.keys()]) this.#drop(id);
    this.#tell(null);
    await this.#storage.clear().catch((error: unknown) => this.#failed(error));
  }

  /** Hears which conversation changed; `null` stands for the list. Answers how to stop. */
  onChange(listener: (id: Id | null) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Conversations that are known, newest message first; the same array until one of them changes. */
  get conversations(): readonly Conversation[] {
    this.#list ??= [...this.#states.values()].map((state) => state.view).sort(byNewest);
    return this.#list;
  }

  /** Whether a folder of the list goes on: `more` reads further. */
  hasMore(folder: Folder = "inbox"): boolean {
    return this.#syncer.hasMore(folder);
  }

  /** Reads further conversations of a folder; whether there are still more. */
  more(folder: Folder = "inbox"): Promise<boolean> {
    return this.#syncer.more(folder);
  }

  /** Numbers for badges, over all conversations: also those that `more` has not read yet. */
  get unread(): UnreadConversations {
    return this.#syncer.unread(unreadOf(this.conversations, this.#client.http.clock.now()));
  }

  conversation(id: Id): Conversation | null {
    return this.#states.get(id)?.view ?? null;
  }

  /** Members, once an open conversation has read them. */
  members(id: Id): readonly Member[] | null {
    return this.#states.get(id)?.members ?? null;
  }

  /** Progress of each member. */
  receipts(id: Id): ReadonlyMap<Id, Receipt> {
    return this.#states.get(id)?.receipts ?? new Map();
  }

  /** People who write at this moment. */
  typers(id: Id): readonly Id[] {
    return this.#typers.of(id);
  }

  /** Messages of a conversation, oldest first, without a hole, and behind them what is on its way; the same array until it changes. */
  lines(id: Id): readonly Line[] {
    return this.#lines.of(id);
  }

  /** Somebody looks at a conversation: its messages, receipts and members are kept whole. Answers how to close it. */
  open(id: Id): () => void {
    let closed = false;
    let opened: ConversationState | undefined;
    this.#openers.set(id, (this.#openers.get(id) ?? 0) + 1);
    const attach = () => {
      const state = this.#states.get(id);
      if (closed || !state || state === opened) return;
      opened = state;
      state.open();
      this.#reader.check(id, 0);
    };
    attach();
    // One that is not known yet is read first; one that was read anew is opened again.
    if (!opened) this.#reader.check(id, 0);
    const off = this.onChange((changed) => changed === id && attach());
    return () => {
      if (closed) return;
      closed = true;
      off();
      const others = (this.#openers.get(id) ?? 1) - 1;
      if (others > 0) this.#openers.set(id, others);
      else this.#openers.delete(id);
      if (opened && this.#states.get(id) === opened) opened.close();
      // Nobody looks at it any more: whether it is still hidden, the server says.
      if (others === 0 && this.#states.get(id)?.view.hidden) {
        this.#states.get(id)?.updated();
        this.#reader.check(id, 0);
      }
      this.#changed(id);
    };
  }

  /** Reads older messages of an open conversation; whether there may be still older ones. */
  async older(id: Id): Promise<boolean> {
    const state = this.#states.get(id);
    if (!state?.hasOlder) return false;
    await this.#reader.before(id, state, state.window.from);
    this.#changed(id);
    return state.hasOlder;
  }

  /** Goes back to the newest messages, after reading so far up that they were let go. */
  newest(id: Id): void {
    const state = this.#states.get(id);
    if (!state || state.window.following) return;
    state.window.following = true;
    this.#reader.check(id, 0);
  }

  /** Makes a conversation, or finds the direct one of a pair. */
  async create(conversation: NewConversation): Promise<Conversation> {
    const reading = (this.#readings += 1);
    const made = await this.#client.conversations.create(conversation);
    this.#told(made, reading);
    return this.conversation(made.id) ?? made;
  }

  /** Puts a message on its way; it stands at the end of `lines` at once. Throws when too many wait already. */
  send(id: Id, draft: Draft | string): Outgoing {
    if (this.#outbox.isFull) throw new FanfareError("too many messages wait to be sent");
    const { kind = "text", ...rest } = typeof draft === "string" ? { text: draft } : draft;
    return this.#outbox.put(id, { ...rest, kind, client_id: randomKey() });
  }

  /** Writes a message that failed once more, as a new one at the end. */
  retry(clientId: string): Outgoing | null {
    const failed = this.#outbox.all().find((entry) => entry.message.client_id === clientId && entry.state === "failed");
    if (!failed || !this.#outbox.discard(clientId)) return null;
    return this.#outbox.put(failed.conversation_id, { ...failed.message, client_id: randomKey() });
  }

  /** Takes a message back that failed or was not tried yet; whether that was so. */
  discard(clientId: string): boolean {
    return this.#outbox.discard(clientId) !== null;
  }

  /** The person has read up to here, or all of it: on all devices, and others see it where they may. */
  markRead(id: Id, seq?: number): void {
    const state = this.#states.get(id);
    if (!state) return;
    if (state.readTo(seq ?? state.view.last_seq)) this.#changed(id);
    this.#receipts.read(id);
  }

  /** Tells the others that the person writes: call it with every key, it is told at most every three seconds. */
  typing(id: Id): void {
    if ((this.#states.get(id)?.view.member_count ?? 0) <= 100) this.#typers.write(id);
  }

  /** Changes what the person keeps to themselves: mute, pin, archive, mark as unread, draft. */
  async setPersonal(id: Id, patch: Personal): Promise<void> {
    await this.#client.conversations.setPersonal(id, patch);
    this.#states.get(id)?.updated();
    this.#reader.check(id, 0);
  }

  /** Hides it until something new comes. */
  async hide(id: Id): Promise<void> {
    await this.#client.conversations.hide(id);
    this.#drop(id);
  }

  async leave(id: Id): Promise<void> {
    await this.#client.conversations.removeMember(id, this.me);
    this.#left(id);
  }

  #build(): void {
    const { clock } = this.#client.http;
    const failed = (error: unknown) => this.#failed(error);
    const state = (id: Id) => this.#states.get(id);
    const next = () => (this.#readings += 1);
    const calls = this.#client.conversations;
    this.#outbox = new ChatOutbox({
      clock,
      storage: this.#storage,
      send: (id, message) => calls.send(id, message, { retries: 0 }),
      changed: (entry) => this.#changed(entry.conversation_id),
      written: (entry) => this.#shared.entry(entry),
      left: (entry, message) => {
        this.#shared.left(entry, message);
        this.#answered(entry, message);
      },
      failed,
    });
    this.#reader = new Reader({
      clock,
      calls,
      state,
      next,
      told: (conversation, reading) => this.#told(conversation, reading),
      gone: (id) => {
        this.#unknown.delete(id);
        this.#left(id);
      },
      changed: (id) => this.#changed(id),
    });
    this.#keeper = new Keeper({ clock, storage: this.#storage, views: () => this.conversations, state, failed });
    this.#syncer = new Syncer({
      clock,
      calls,
      next,
      told: (conversation, reading) => this.#told(conversation, reading),
      whole: (cursor) => this.#keeper.reached(cursor),
      anew: (listed, began) => this.#anew(listed, began),
      changed: () => this.#tell(null),
    });
    this.#shared = new Shared({
      clock,
      storage: this.#storage,
      outbox: this.#outbox,
      keeper: this.#keeper,
      cursor: () => this.#syncer.cursor,
      changed: (entry) => this.#changed(entry.conversation_id),
      left: (entry, message) => this.#answered(entry, message),
    });
    this.#receipts = new Receipts({ clock, calls, state, leading: () => this.#shared.leading, stale: (id) => this.#reader.check(id) });
    this.#typers = new Typers({
      clock,
      me: this.me,
      send: (id) => void this.#realtime.send("typing", { conversation_id: id }).catch(() => {}),
      changed: (id) => this.#tell(id),
    });
  }

  async #restore(): Promise<void> {
    try {
      const kept = await this.#storage.load();
      for (const one of kept.conversations) {
        const { id } = one.conversation;
        if (!this.#states.has(id)) this.#states.set(id, ConversationState.restored(this.me, one));
        this.#keeper.knows(id);
      }
      for (const entry of kept.outbox) this.#outbox.take(entry);
      this.#syncer.cursor = kept.cursor;
    } catch (error) {
      this.#failed(error);
    }
    this.#tell(null);
    for (const id of this.#states.keys()) this.#changed(id);
  }

  #listen(): void {
    const { http } = this.#client;
    const on = this.#realtime;
    this.#ends.push(
      on.on("message", (message) => this.#pushed(message)),
      on.on("message.updated", (frame) => this.#at(frame.message.conversation_id, (state) => state.changed(frame))),
      on.on("message.recalled", (frame) => this.#at(frame.conversation_id, (state) => state.changed(frame))),
      on.on("receipt", (frame) => this.#at(frame.conversation_id, (state) => state.receiptsRead(frame.receipts))),
      on.on("conversation.updated", (frame) => this.#updated(frame)),
      on.on("typing", ({ conversation_id, user_id }) => this.#typers.heard(conversation_id, user_id)),
      on.on("hello", () => this.#back()),
      on.on("gap", ({ stream }) => isChat(stream) && this.#syncer.sync()),
      on.on("reset", ({ streams }) => streams.some(isChat) && this.#syncer.sync()),
      on.onState(({ status, transport }) => this.#opening(status === "open" ? transport : null)),
      http.onToken(({ gone, another }) => (gone || another ? void this.stop({ forget: true }) : this.#kick())),
      watchPage({
        online: () => this.#kick(),
        offline: () => {},
        shown: () => this.#shared.check(),
        hidden: () => void this.#keeper.flush(),
        left: () => void this.#keeper.flush(),
      }),
    );
  }

  /** A tab that follows hears of no session; it sees that the connection is another. */
  #opening(transport: string | null): void {
    const before = this.#opened;
    this.#opened = transport;
    if (transport !== null && transport !== before) this.#back();
  }

  /** A session began: current values are not told twice, so what may have changed is asked for. */
  #back(): void {
    for (const state of this.#states.values()) if (state.isOpen) state.receiptsStale();
    this.#syncer.sync();
    this.#kick();
  }

  #kick(): void {
    this.#outbox.kick();
    this.#reader.kick();
    this.#syncer.kick();
    for (const id of this.#states.keys()) {
      this.#receipts.read(id);
      this.#reader.check(id);
    }
  }

  #pushed({ key: _, ...message }: KeyedMessage): void {
    this.#typers.wrote(message.conversation_id, message.sender.id);
    if (message.sender.id === this.me && message.client_id) this.#outbox.seen(message);
    this.#at(message.conversation_id, (state) => {
      state.pushed(message);
      if (message.sender.id !== this.me) this.#receipts.delivered(message.conversation_id);
    });
  }

  #updated({ conversation_id, left }: ConversationUpdated): void {
    if (left) {
      this.#left(conversation_id, true);
      // The frame may be late, and the person back in it.
      this.#reader.check(conversation_id);
    } else this.#at(conversation_id, (state) => state.updated());
  }

  /** Something came for a conversation; one that is not known is read. */
  #at(id: Id, take: (state: ConversationState) => void): void {
    const state = this.#states.get(id);
    if (state) {
      take(state);
      this.#changed(id);
    } else {
      this.#unknown.set(id, this.#readings);
      this.#reader.check(id);
    }
  }

  #told(conversation: Conversation, reading: number): void {
    const { id } = conversation;
    if (conversation.left) return this.#left(id);
    // What somebody looks at stays, also where another device hid it.
    if (conversation.hidden && !this.#openers.has(id)) return this.#drop(id);
    const state = this.#states.get(id);
    if (state) state.told(conversation, reading);
    else {
      const made = new ConversationState(this.me, conversation, reading);
      // Something came for it that a reading from before does not have.
      if (reading <= (this.#unknown.get(id) ?? 0)) made.updated();
      this.#unknown.delete(id);
      this.#states.set(id, made);
      this.#syncer.added();
    }
    if (conversation.unread_count > 0) this.#receipts.delivered(id);
    this.#changed(id);
  }

  /** The list begins anew: what is not in it and nobody looks at is let go, the rest is read. */
  #anew(listed: ReadonlySet<Id>, began: number): void {
    for (const [id, state] of this.#states) {
      // One that became known since the list began is newer than it.
      if (listed.has(id) || state.reading > began) continue;
      if (!state.isOpen) this.#drop(id);
      else this.#at(id, (one) => one.updated());
    }
  }

  #left(id: Id, unsure = false): void {
    const state = this.#states.get(id);
    if (this.#options.keepLeft && state) {
      state.left(unsure);
      this.#changed(id);
    } else this.#drop(id);
  }

  #drop(id: Id): void {
    // Of one that is not known there may be own messages.
    this.#lines.forget(id);
    if (this.#states.delete(id)) {
      this.#list = null;
      this.#keeper.drop(id);
    }
    this.#tell(id);
  }

  /** An own message has arrived, or was given up: it stays at the end until everything before it is here. */
  #answered(entry: Outgoing, message: Message | null): void {
    const { conversation_id: id } = entry;
    if (message) {
      this.#lines.answered(message);
      this.#at(id, (state) => state.pushed(message));
    }
    this.#changed(id);
  }

  #changed(id: Id): void {
    this.#list = null;
    this.#lines.changed(id);
    if (this.#states.has(id)) {
      this.#keeper.changed(id);
      this.#reader.check(id);
    }
    this.#tell(id);
  }

  #tell(id: Id | null): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(id);
      } catch (error) {
        this.#failed(error);
      }
    }
  }

  #failed(error: unknown): void {
    this.#options.onError?.(error);
  }
}

function isChat(stream: string): boolean {
  return stream === "direct" || stream === "group";
}
