// Telling the server how far the person has come: the read mark as soon as it moves, what was delivered once a second.

import type { Clock, Timer } from "../clock.js";
import { ProblemError } from "../errors.js";
import type { Id } from "../types.js";
import type { Conversations } from "./calls.js";
import type { ConversationState } from "./conversation.js";

/** Milliseconds in which several deliveries are one. */
const DELIVERED_MS = 1_000;
/** Conversations whose deliveries are told at once; of a long list the newest tell enough. */
const DELIVERED_MAX = 20;

/** Parts of telling. */
export interface ReceiptParts {
  clock: Clock;
  calls: Conversations;
  state(id: Id): ConversationState | undefined;
  /** Whether this tab speaks for all. */
  leading(): boolean;
  /** The conversation is to be read again. */
  stale(id: Id): void;
}

export class Receipts {
  readonly #busy = new Set<Id>();
  readonly #due = new Set<Id>();
  readonly #told = new Map<Id, number>();
  #timer: Timer = null;
  #stopped = false;

  constructor(private readonly parts: ReceiptParts) {}

  stop(): void {
    this.#stopped = true;
    this.parts.clock.cancel(this.#timer);
  }

  /** Tells the read mark if the server does not have it; what fails is told with the next one, or when the network is back. */
  read(id: Id): void {
    const seq = this.parts.state(id)?.readUntold ?? null;
    if (seq === null || this.#busy.has(id) || this.#stopped) return;
    this.#busy.add(id);
    void this.#tell(id, seq).then((told) => {
      this.#busy.delete(id);
      if (told) this.read(id);
    });
  }

  /** Something of others arrived. */
  delivered(id: Id): void {
    this.#due.add(id);
    this.#timer ??= this.parts.clock.after(DELIVERED_MS, () => {
      this.#timer = null;
      const due = [...this.#due].slice(-DELIVERED_MAX);
      this.#due.clear();
      if (this.parts.leading()) for (const one of due) this.#deliver(one);
    });
  }

  async #tell(id: Id, seq: number): Promise<boolean> {
    try {
      await this.parts.calls.markRead(id, seq);
    } catch (error) {
      // Refused for good: the server's mark is the right one.
      const refused = error instanceof ProblemError && [403, 404, 422].includes(error.status);
      if (!refused) return false;
    }
    const state = this.parts.state(id);
    state?.readIsTold(seq);
    // Where the count is not known here, it is the server's, with the mark moved.
    state?.recounted();
    this.parts.stale(id);
    return true;
  }

  #deliver(id: Id): void {
    const view = this.parts.state(id)?.view;
    // Who has not accepted a request does not say that it arrived.
    if (!view || view.is_request || view.last_seq <= (this.#told.get(id) ?? view.read_seq)) return;
    this.#told.set(id, view.last_seq);
    this.parts.calls.markDelivered(id, view.last_seq).catch(() => this.#told.delete(id));
  }
}
