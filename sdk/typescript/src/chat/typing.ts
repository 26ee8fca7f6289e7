// People who write at this moment: told at most every three seconds, and forgotten after six.

import type { Clock, Timer } from "../clock.js";
import type { Id } from "../types.js";

/** Milliseconds between two frames of one conversation. */
const TELL_MS = 3_000;
/** Milliseconds for which somebody counts as writing. */
const GONE_MS = 6_000;

/** Parts of typing. */
export interface TypingParts {
  clock: Clock;
  me: Id;
  send(conversation: Id): void;
  changed(conversation: Id): void;
}

export class Typers {
  readonly #timers = new Map<Id, Map<Id, Timer>>();
  readonly #told = new Map<Id, number>();

  constructor(private readonly parts: TypingParts) {}

  of(conversation: Id): readonly Id[] {
    return [...(this.#timers.get(conversation)?.keys() ?? [])];
  }

  heard(conversation: Id, user: Id): void {
    if (user === this.parts.me) return;
    const timers = this.#timers.get(conversation) ?? new Map<Id, Timer>();
    this.#timers.set(conversation, timers);
    this.parts.clock.cancel(timers.get(user));
    timers.set(user, this.parts.clock.after(GONE_MS, () => this.wrote(conversation, user)));
    this.parts.changed(conversation);
  }

  /** A message came, or nothing did for long. */
  wrote(conversation: Id, user: Id): void {
    const timers = this.#timers.get(conversation);
    if (!timers?.has(user)) return;
    this.parts.clock.cancel(timers.get(user));
    timers.delete(user);
    if (timers.size === 0) this.#timers.delete(conversation);
    this.parts.changed(conversation);
  }

  write(conversation: Id): void {
    const now = this.parts.clock.now();
    if (now - (this.#told.get(conversation) ?? -Infinity) < TELL_MS) return;
    this.#told.set(conversation, now);
    this.parts.send(conversation);
  }

  stop(): void {
    for (const timers of this.#timers.values()) for (const timer of timers.values()) this.parts.clock.cancel(timer);
    this.#timers.clear();
    this.#told.clear();
  }
}
