// Keeping of what is shown, so that a reload shows it again before the network answers. Only the tab that leads writes,
// at most twice a second, and the value of `changed_after` never before what it stands for.

import type { Clock, Timer } from "../clock.js";
import type { Id } from "../types.js";
import type { ConversationState, KeptConversation } from "./conversation.js";
import type { ChatStorage } from "./storage.js";
import type { Conversation } from "./types.js";

/** Milliseconds between two writes. */
const WRITE_MS = 500;
/** Conversations that are kept, the newest. */
export const KEPT_MAX = 200;
/** Messages of each. */
export const KEPT_MESSAGES_MAX = 100;

/** Parts of a keeper. */
export interface KeeperParts {
  clock: Clock;
  storage: ChatStorage;
  /** Conversations, newest first. */
  views(): readonly Conversation[];
  state(id: Id): ConversationState | undefined;
  failed(error: unknown): void;
}

export class Keeper {
  readonly #changed = new Set<Id>();
  readonly #dropped = new Set<Id>();
  /** Conversations that stand in the storage. */
  readonly #kept = new Set<Id>();
  #cursor: string | null = null;
  #cursorChanged = false;
  #leading = false;
  #timer: Timer = null;
  #writing: Promise<void> = Promise.resolve();

  constructor(private readonly parts: KeeperParts) {}

  /** A conversation was found in the storage. */
  knows(id: Id): void {
    this.#kept.add(id);
  }

  changed(id: Id): void {
    this.#changed.add(id);
    this.#later();
  }

  drop(id: Id): void {
    this.#changed.delete(id);
    this.#dropped.add(id);
    this.#later();
  }

  /** Everything up to this value of `changed_after` is in the conversations. */
  reached(cursor: string): void {
    this.#cursor = cursor;
    this.#cursorChanged = true;
    this.#later();
  }

  /** Begins to write: everything once, for the tab that led before may have been behind. */
  lead(cursor: string | null): void {
    this.#leading = true;
    this.#cursor ??= cursor;
    this.#cursorChanged = this.#cursor !== null;
    for (const { id } of this.parts.views()) this.#changed.add(id);
    this.#later();
  }

  resign(): void {
    this.#leading = false;
    this.parts.clock.cancel(this.#timer);
    this.#timer = null;
  }

  /** Writes now what is to be written. */
  flush(): Promise<void> {
    this.parts.clock.cancel(this.#timer);
    this.#timer = null;
    if (!this.#leading) return this.#writing;
    const newest = new Set(this.parts.views().slice(0, KEPT_MAX).map(({ id }) => id));
    const conversations: KeptConversation[] = [];
    for (const id of this.#changed) {
      const state = newest.has(id) ? this.parts.state(id) : undefined;
      if (state) conversations.push(state.keep(KEPT_MESSAGES_MAX));
    }
    const dropped = [...this.#dropped, ...[...this.#kept].filter((id) => !newest.has(id))];
    for (const { conversation } of conversations) this.#kept.add(conversation.id);
    for (const id of dropped) this.#kept.delete(id);
    const cursor = this.#cursorChanged ? { cursor: this.#cursor } : {};
    this.#changed.clear();
    this.#dropped.clear();
    this.#cursorChanged = false;
    if (conversations.length + dropped.length === 0 && !("cursor" in cursor)) return this.#writing;
    const changes = { ...cursor, conversations, dropped: dropped.filter((id) => !this.#kept.has(id)) };
    this.#writing = this.#writing.then(() => this.parts.storage.save(changes)).catch(this.parts.failed);
    return this.#writing;
  }

  /** Writes a last time, or nothing more when all is to be forgotten. */
  stop(forget: boolean): Promise<void> {
    const done = forget ? this.#writing : this.flush();
    this.resign();
    return done;
  }

  #later(): void {
    if (!this.#leading) return;
    this.#timer ??= this.parts.clock.after(WRITE_MS, () => void this.flush());
  }
}
