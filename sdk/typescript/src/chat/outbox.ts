// Messages on their way: one send in flight a conversation, in the order of writing, with the same `client_id` for every
// try until an answer is known, also after a reload. Only the tab that leads sends.

import type { Clock, Timer } from "../clock.js";
import { ProblemError } from "../errors.js";
import type { Id, Problem } from "../types.js";
import type { ChatStorage } from "./storage.js";
import type { Message, NewMessage } from "./types.js";

/** Messages that may wait at once; further ones are refused. */
export const WAITING_MAX = 1_000;
/** Milliseconds after the first try for which a repeat is safe: the server knows sends for 7 days. */
export const REPEAT_MS = 6 * 24 * 3_600_000;
/** Milliseconds before the first repetition; doubled each time, with jitter. */
const PAUSE_MS = 1_000;
const PAUSE_MS_MAX = 30_000;
/** Refusals that pass by themselves; with those of 5xx, and no answer at all, nobody knows what became of the send. */
const PASSING = new Set([401, 408, 409, 425, 429]);

/** A message that is not known to have arrived. */
export interface Outgoing {
  conversation_id: Id;
  message: NewMessage;
  /** `sending`: tried at least once, and no answer is known. */
  state: "queued" | "sending" | "failed";
  /** Place in the order of writing. */
  order: number;
  /** Milliseconds since 1970 of the first try. */
  tried_at: number | null;
  /**
   * Reason of a failure. `outcome_unknown`: it may have arrived, and is too old to be tried again; so may one with
   * `not_found`, by an earlier try, if the person was removed meanwhile.
   */
  problem: Problem | null;
}

/** Parts of an outbox. */
export interface OutboxParts {
  clock: Clock;
  storage: ChatStorage;
  send(conversation: Id, message: NewMessage): Promise<Message>;
  /** The entry is new, or in another state. */
  changed(entry: Outgoing): void;
  /** The entry, as it is now, is where other tabs and a reload find it. */
  written(entry: Outgoing): void;
  /** The entry has left: with its message, or discarded. */
  left(entry: Outgoing, message: Message | null): void;
  /** The storage failed: what waits is lost with the page. */
  failed(error: unknown): void;
}

export class ChatOutbox {
  readonly #entries = new Map<string, Outgoing>();
  /** Entries that are being written to the storage. */
  readonly #writing = new Map<string, Promise<void>>();
  readonly #busy = new Set<Id>();
  readonly #pauses = new Map<Id, { timer: Timer; tries: number }>();
  #leading = false;
  #order = 0;

  constructor(private readonly parts: OutboxParts) {}

  /** Entries of a conversation in the order of writing. */
  of(conversation: Id): Outgoing[] {
    const own = [...this.#entries.values()].filter((entry) => entry.conversation_id === conversation);
    return own.sort((a, b) => a.order - b.order);
  }

  /** Every entry. */
  all(): Outgoing[] {
    return [...this.#entries.values()];
  }

  get isFull(): boolean {
    return this.#entries.size >= WAITING_MAX;
  }

  /** A new entry: written down first, then sent by the tab that leads. */
  put(conversation_id: Id, message: NewMessage): Outgoing {
    this.#order = Math.max(this.#order + 1, this.parts.clock.now());
    const entry: Outgoing = { conversation_id, message, state: "queued", order: this.#order, tried_at: null, problem: null };
    this.#entries.set(message.client_id, entry);
    this.#write(entry);
    this.parts.changed(entry);
    void this.#pump(conversation_id);
    return entry;
  }

  /** Takes an entry that another tab made or changed, or that was kept. */
  take(entry: Outgoing): void {
    const own = this.#entries.get(entry.message.client_id);
    // The tab that sends knows best.
    if (own && this.#leading) return;
    this.#entries.set(entry.message.client_id, entry);
    this.#order = Math.max(this.#order, entry.order);
    void this.#pump(entry.conversation_id);
  }

  /** Drops an entry that another tab's outbox lost. */
  forget(clientId: string): void {
    this.#entries.delete(clientId);
  }

  /** Takes an entry out that failed or was not tried yet; whether it could be. */
  discard(clientId: string): Outgoing | null {
    const entry = this.#entries.get(clientId);
    if (!entry || entry.state === "sending") return null;
    this.#leave(entry, null);
    return entry;
  }

  /** The message of an entry was seen: whatever becomes of the answer, it has arrived. */
  seen(message: Message): void {
    const entry = this.#entries.get(message.client_id);
    if (entry?.conversation_id === message.conversation_id) this.#leave(entry, message);
  }

  /** Begins to send: this tab leads from now on. */
  lead(): void {
    this.#leading = true;
    this.kick();
  }

  /** Stops sending: another tab leads. A send that is in flight here is the same message there. */
  resign(): void {
    this.#leading = false;
    for (const { timer } of this.#pauses.values()) this.parts.clock.cancel(timer);
    this.#pauses.clear();
  }

  /** The network, the server or the token is back: nothing waits any longer. */
  kick(): void {
    for (const { timer } of this.#pauses.values()) this.parts.clock.cancel(timer);
    this.#pauses.clear();
    for (const id of new Set(this.all().map((entry) => entry.conversation_id))) void this.#pump(id);
  }

  async #pump(conversation: Id): Promise<void> {
    if (!this.#leading || this.#busy.has(conversation) || this.#pauses.get(conversation)?.timer) return;
    this.#busy.add(conversation);
    try {
      for (;;) {
        const entry = this.#leading ? this.of(conversation).find(({ state }) => state !== "failed") : undefined;
        if (!entry || !(await this.#try(entry))) break;
      }
    } finally {
      this.#busy.delete(conversation);
    }
  }

  /** Tries once; whether the next entry may follow. */
  async #try(entry: Outgoing): Promise<boolean> {
    const { clock } = this.parts;
    if (entry.tried_at !== null && clock.now() - entry.tried_at > REPEAT_MS) {
      this.#fail(entry, TOO_OLD);
      return true;
    }
    if (entry.state === "queued") {
      Object.assign(entry, { state: "sending", tried_at: clock.now() });
      this.#write(entry);
      this.parts.changed(entry);
    }
    // Before the first try it must be where a reload finds it, with its client_id.
    await this.#writing.get(entry.message.client_id);
    if (!this.#waits(entry)) return true;
    try {
      const message = await this.parts.send(entry.conversation_id, entry.message);
      this.#pauses.delete(entry.conversation_id);
      if (this.#waits(entry)) this.#leave(entry, message);
      return true;
    } catch (error) {
      if (!this.#waits(entry)) return true;
      if (!isDefinite(error)) return this.#pause(entry.conversation_id, error);
      this.#pauses.delete(entry.conversation_id);
      this.#fail(entry, error.problem);
      return true;
    }
  }

  #pause(conversation: Id, error: unknown): false {
    if (!this.#leading) return false;
    const tries = this.#pauses.get(conversation)?.tries ?? 0;
    const least = error instanceof ProblemError ? (error.retryAfterMs ?? 0) : 0;
    const pause = Math.min(PAUSE_MS * 2 ** tries, PAUSE_MS_MAX) * (0.5 + this.parts.clock.random() / 2);
    const timer = this.parts.clock.after(Math.max(pause, least), () => {
      this.#pauses.set(conversation, { timer: null, tries: tries + 1 });
      void this.#pump(conversation);
    });
    this.#pauses.set(conversation, { timer, tries });
    return false;
  }

  #waits(entry: Outgoing): boolean {
    return this.#entries.get(entry.message.client_id) === entry;
  }

  #fail(entry: Outgoing, problem: Problem): void {
    Object.assign(entry, { state: "failed", problem });
    this.#write(entry);
    this.parts.changed(entry);
  }

  #leave(entry: Outgoing, message: Message | null): void {
    const id = entry.message.client_id;
    this.#entries.delete(id);
    // Behind its own writing, or it would come back.
    const before = this.#writing.get(id) ?? Promise.resolve();
    void before.then(() => this.parts.storage.save({ settled: [id] })).catch(this.parts.failed);
    this.parts.left(entry, message);
  }

  #write(entry: Outgoing): void {
    const id = entry.message.client_id;
    const before = this.#writing.get(id) ?? Promise.resolve();
    const copy = { ...entry };
    const saved = before.then(() => this.parts.storage.save({ outbox: [copy] })).catch(this.parts.failed);
    const writing = saved.then(() => this.parts.written(copy));
    this.#writing.set(id, writing);
    void writing.then(() => this.#writing.get(id) === writing && this.#writing.delete(id));
  }
}

/** Problem of a message whose outcome nobody told, and that the server no longer knows a repeat of. */
const TOO_OLD: Problem = {
  type: "about:blank",
  title: "Not known whether it was sent",
  status: 503,
  detail: "no answer came for days: look whether it is there, and write it again if not",
  code: "outcome_unknown",
};

/** Whether the server refused for good: nothing was sent, and a repeat changes nothing. */
function isDefinite(error: unknown): error is ProblemError {
  return error instanceof ProblemError && error.status >= 400 && error.status < 500 && !PASSING.has(error.status);
}
