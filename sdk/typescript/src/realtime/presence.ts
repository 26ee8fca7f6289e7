// People who are watched, and what is known of them. Watching belongs to a session, so every new one is told again;
// what changed meanwhile, or cannot be pushed because the session is a poll, is found by comparing.

import type { Clock, Timer } from "../clock.js";
import type { Id, Presence, PresenceList } from "../types.js";

/** People that one session watches. */
export const WATCHED_MAX = 200;
/** Milliseconds between two looks while polls carry the session. */
const LOOK_MS = 30_000;

/** Parts of watching. */
export interface PresenceParts {
  clock: Clock;
  /** Sends `presence.watch`. */
  send(data: { user_ids: Id[] }): Promise<unknown>;
  changed(presence: Presence): void;
}

export class PresenceWatch {
  #ids: Id[] = [];
  #pushed = false;
  #open = false;
  #timer: Timer = null;
  readonly #known = new Map<Id, string>();

  constructor(private readonly parts: PresenceParts) {}

  /** Watches these people in place of those before. */
  watch(ids: Id[]): void {
    const next = [...new Set(ids)].slice(0, WATCHED_MAX);
    if (next.length === this.#ids.length && next.every((id, at) => id === this.#ids[at])) return;
    this.#ids = next;
    for (const id of [...this.#known.keys()]) if (!next.includes(id)) this.#known.delete(id);
    if (this.#open) void this.#tell();
  }

  /** A session stands; `pushed` when it brings transitions by itself. */
  opened(pushed: boolean): void {
    this.#open = true;
    this.#pushed = pushed;
    if (this.#ids.length > 0) void this.#tell();
  }

  /** Notes that there is no session. */
  lost(): void {
    this.#open = false;
    this.parts.clock.cancel(this.#timer);
  }

  /** A transition was pushed; whether it is news. */
  take(presence: Presence): boolean {
    const text = `${presence.online}`;
    if (this.#known.get(presence.user_id) === text) return false;
    if (this.#ids.includes(presence.user_id)) this.#known.set(presence.user_id, text);
    return true;
  }

  async #tell(): Promise<void> {
    this.parts.clock.cancel(this.#timer);
    try {
      const answer = (await this.parts.send({ user_ids: this.#ids })) as PresenceList | undefined;
      for (const presence of answer?.items ?? []) if (this.take(presence)) this.parts.changed(presence);
    } catch {
      // The next session tells again.
    }
    if (this.#open && !this.#pushed && this.#ids.length > 0) {
      this.#timer = this.parts.clock.after(LOOK_MS, () => void this.#tell());
    }
  }
}
