// Notices what never says so itself: a link on which nothing comes, and a machine that slept.

import type { Clock, Timer } from "../clock.js";

/** Milliseconds by which a timer may be late before it counts as sleep: throttled timers of hidden pages stay below. */
export const SLEPT_MS = 90_000;

/** Findings of the watchdog. */
export interface WatchdogEvents {
  /** Time to ask for a sign of life. */
  ask(): void;
  /** None came. */
  mute(): void;
  /** The machine slept, or its timers did. */
  slept(): void;
}

/** Watches one link from its opening to its end. */
export class Watchdog {
  #heard: number;
  #timer: Timer = null;
  #due = 0;
  /** Moment at which it asked; `null` when nothing is awaited. */
  #askedAt: number | null = null;

  /** Asks after `heartbeatMs` of silence and barks after `muteMs`; both Infinity for links that do not beat. */
  constructor(
    private readonly clock: Clock,
    private readonly heartbeatMs: number,
    private readonly muteMs: number,
    private readonly events: WatchdogEvents,
  ) {
    this.#heard = clock.now();
    this.#arm();
  }

  /** Milliseconds since something came. */
  get silenceMs(): number {
    return this.clock.now() - this.#heard;
  }

  /** Something came. */
  alive(): void {
    this.#heard = this.clock.now();
    this.#askedAt = null;
  }

  stop(): void {
    this.clock.cancel(this.#timer);
    this.#timer = null;
  }

  /** Sets the one timer for the next moment that matters; what comes meanwhile only moves the moment. */
  #arm(): void {
    const moment = this.#askedAt === null ? this.#heard + this.heartbeatMs : this.#muteAt(this.#askedAt);
    if (!Number.isFinite(moment)) return;
    this.#due = Math.max(moment, this.clock.now() + 1);
    this.#timer = this.clock.after(this.#due - this.clock.now(), () => this.#look());
  }

  /** A late timer must not shorten the time to answer. */
  #muteAt(askedAt: number): number {
    return Math.max(this.#heard + this.muteMs, askedAt + this.muteMs - this.heartbeatMs);
  }

  #look(): void {
    if (this.#timer === null) return;
    const late = this.clock.now() - this.#due;
    if (late >= SLEPT_MS) {
      this.alive();
      this.#arm();
      return this.events.slept();
    }
    const now = this.clock.now();
    if (this.#askedAt !== null && now >= this.#muteAt(this.#askedAt)) return this.events.mute();
    if (this.#askedAt === null && this.silenceMs >= this.heartbeatMs) {
      this.#askedAt = now;
      this.events.ask();
    }
    if (this.#timer !== null) this.#arm();
  }
}
