// Reading over HTTP of what a conversation wants: a hole, a frame that said too little, the conversation itself. One
// reading at a time a conversation, a few at a time in all; what fails is read again after a pause.

import type { Clock, Timer } from "../clock.js";
import { FanfareError, ProblemError } from "../errors.js";
import type { Id } from "../types.js";
import type { Conversations } from "./calls.js";
import type { ConversationState, Want } from "./conversation.js";
import { SCREEN } from "./conversation.js";
import type { Change, Conversation, MessagePage } from "./types.js";
import { overlaid } from "./window.js";

/** Milliseconds for which something that is missing may still come by itself. */
const GRACE_MS = 100;
/** Conversations that are read at once. */
const ABREAST_MAX = 4;
/** Readings in a row, after which a conversation that changes all the time waits a little. */
const ROUNDS = 6;
/** Milliseconds before a reading that failed is tried again; doubled each time. */
const PAUSE_MS = 1_000;
const PAUSE_MS_MAX = 30_000;
/** Items of a page. */
const PAGE = 100;

/** Parts of a reader. */
export interface ReaderParts {
  clock: Clock;
  calls: Conversations;
  state(id: Id): ConversationState | undefined;
  /** Number of a reading that begins now. */
  next(): number;
  /** A conversation was read that is not known yet, or is. */
  told(conversation: Conversation, reading: number): void;
  /** The caller is not in it any more, or never was. */
  gone(id: Id): void;
  changed(id: Id): void;
}

export class Reader {
  readonly #timers = new Map<Id, Timer>();
  readonly #tries = new Map<Id, number>();
  readonly #waiting = new Set<Id>();
  readonly #running = new Set<Id>();
  #stopped = false;

  constructor(private readonly parts: ReaderParts) {}

  /** Whether nothing is being read or will be. */
  get idle(): boolean {
    return this.#timers.size === 0 && this.#waiting.size === 0 && this.#running.size === 0;
  }

  /** Looks, soon, whether something is to be read. */
  check(id: Id, graceMs: number = GRACE_MS): void {
    if (this.#stopped || this.#timers.has(id) || this.#running.has(id) || this.#waiting.has(id)) return;
    const state = this.parts.state(id);
    if (state && !state.wants()) return;
    this.#later(id, graceMs);
  }

  /** The network is back: what failed is read now. */
  kick(): void {
    for (const [id, timer] of this.#timers) {
      this.parts.clock.cancel(timer);
      this.#waiting.add(id);
    }
    this.#timers.clear();
    this.#tries.clear();
    this.#start();
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers.values()) this.parts.clock.cancel(timer);
    this.#timers.clear();
    this.#waiting.clear();
  }

  #later(id: Id, ms: number): void {
    const due = () => {
      this.#timers.delete(id);
      this.#waiting.add(id);
      this.#start();
    };
    this.#timers.set(id, this.parts.clock.after(ms, due));
  }

  #start(): void {
    for (const id of this.#waiting) {
      if (this.#running.size >= ABREAST_MAX || this.#stopped) return;
      this.#waiting.delete(id);
      this.#running.add(id);
      void this.#run(id).then((pause) => {
        this.#running.delete(id);
        if (pause !== null && !this.#stopped) this.#later(id, pause);
        else this.check(id);
        this.#start();
      });
    }
  }

  /** Reads until nothing is wanted; milliseconds until it is to go on, or `null`. */
  async #run(id: Id): Promise<number | null> {
    for (let round = 0; round < ROUNDS; round += 1) {
      const state = this.parts.state(id);
      const want = state ? state.wants() : UNKNOWN;
      if (!want || this.#stopped) return null;
      const failed = state?.reads(want);
      const reading = this.parts.next();
      try {
        await this.#read(id, state, want, reading);
        this.#tries.delete(id);
        if (!this.#stopped) this.parts.changed(id);
      } catch (error) {
        failed?.();
        if (this.#stopped) return null;
        if (error instanceof ProblemError && [403, 404, 410].includes(error.status)) {
          const now = this.parts.state(id);
          // The person may have come back since the question.
          if (now && now.reading > reading) now.updated();
          else this.parts.gone(id);
          return null;
        }
        const tries = this.#tries.get(id) ?? 0;
        this.#tries.set(id, tries + 1);
        return Math.min(PAUSE_MS * 2 ** tries, PAUSE_MS_MAX) * (0.5 + this.parts.clock.random() / 2);
      }
    }
    return PAUSE_MS;
  }

  async #read(id: Id, state: ConversationState | undefined, want: Want, reading: number): Promise<void> {
    const { calls } = this.parts;
    if (want.kind === "conversation" || !state) {
      const conversation = await calls.get(id);
      if (!this.#stopped && this.parts.state(id) === state) this.parts.told(conversation, reading);
      return;
    }
    switch (want.kind) {
      case "newest":
        return this.#newest(id, state);
      case "after": {
        const page = await this.page(id, state, { after_seq: want.after, limit: PAGE });
        if (page && this.#lives(id, state) && !state.pageRead(page)) await this.#newest(id, state);
        return;
      }
      case "before":
        await this.before(id, state, want.before);
        return;
      case "changes":
        return this.#changes(id, state, want.after);
      case "message": {
        const page = await calls.messages(id, { around_seq: want.seq, limit: 1 });
        const message = page.items.find(({ seq }) => seq === want.seq);
        if (message && this.#lives(id, state)) state.messageRead(message, page.change_seq);
        return;
      }
      case "receipts": {
        const receipts = await calls.receipts(id, { limit: PAGE }).take(PAGE * 10);
        if (this.#lives(id, state)) state.receiptsRead(receipts);
        return;
      }
      case "members": {
        const members = await calls.members(id, { limit: PAGE }).take(PAGE * 10);
        if (this.#lives(id, state)) state.membersRead(members);
        return;
      }
    }
  }

  /** Reads below the first message; whether there was something. */
  async before(id: Id, state: ConversationState, before: number): Promise<boolean> {
    const page = await this.page(id, state, { before_seq: before, limit: SCREEN });
    if (!page || !this.#lives(id, state)) return false;
    if (page.items.length === 0) state.atStart();
    return state.pageRead(page) && page.items.length > 0;
  }

  /** Messages with all changes that are in the others; `null` when that cannot be had: the newest are read anew. */
  async page(id: Id, state: ConversationState, query: Parameters<Conversations["messages"]>[1]): Promise<MessagePage | null> {
    let page = await this.parts.calls.messages(id, query);
    // Changed meanwhile: a change that came to a message that was not here yet.
    while (page.change_seq < state.window.applied) {
      const read = await this.#changesAfter(id, page.change_seq);
      if (!read) {
        await this.#newest(id, state);
        return null;
      }
      page = forward(page, read);
    }
    return page;
  }

  async #newest(id: Id, state: ConversationState): Promise<void> {
    // Without a bound: a page as old as a change that came meanwhile is read once more.
    let page = await this.parts.calls.messages(id, { limit: SCREEN });
    while (page.change_seq < state.window.change && !this.#stopped) {
      const read = await this.#changesAfter(id, page.change_seq);
      page = read ? forward(page, read) : await this.parts.calls.messages(id, { limit: SCREEN });
    }
    if (this.#lives(id, state)) state.replaced(page);
  }

  async #changes(id: Id, state: ConversationState, after: number): Promise<void> {
    const read = await this.#changesAfter(id, after);
    if (!read) return this.#newest(id, state);
    if (this.#lives(id, state)) state.changesRead(after, read.items, read.through);
  }

  /** Changes above one; `null` when they are too old to be told. */
  async #changesAfter(id: Id, after: number): Promise<ReadChanges | null> {
    try {
      const page = await this.parts.calls.changes(id, after, { limit: PAGE });
      return { items: page.items, through: page.items.at(-1)?.change_seq ?? page.change_seq };
    } catch (error) {
      if (error instanceof ProblemError && error.code === "snapshot_expired") return null;
      throw error;
    }
  }

  /** Whether an answer still has somewhere to go. */
  #lives(id: Id, state: ConversationState): boolean {
    return !this.#stopped && this.parts.state(id) === state;
  }
}

const UNKNOWN: Want = { kind: "conversation" };

/** Changes, and up to which they go. */
interface ReadChanges {
  items: Change[];
  through: number;
}

/** The page with these changes in it. */
function forward(page: MessagePage, read: ReadChanges): MessagePage {
  // A node that is behind: it is asked again after a pause.
  if (read.through <= page.change_seq) throw new FanfareError("a change that was told cannot be read yet");
  return overlaid(page, read.items, read.through);
}
