// Options of realtime.

import { type Pace, PACE } from "./ladder.js";
import type { SocketConstructor } from "./transports/websocket.js";
import type { Transport } from "../types.js";

/** Storage of the place to resume at; `localStorage` and `sessionStorage` are such. */
export interface StorageLike {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** Choices; all may be left out. */
export interface RealtimeOptions {
  /** Keeps the cursor, so that a reload resumes. Without it a reload starts afresh. */
  storage?: StorageLike | undefined;
  /**
   * Sharing of one connection by all tabs of a browser: `true` (the default) shares among tabs with the same token, a
   * string among tabs with the same string (a person's id, when every tab has a token of its own), `false` never.
   */
  tabs?: boolean | string | undefined;
  /**
   * Behaviour after `gap` and `reset`: `true` (the default) reads what was missed over HTTP and hands it out as if it
   * had been pushed, in order; `false` leaves it to you, with `fill()` to help.
   */
  recover?: boolean | undefined;
  /** Transports that may be used, best first. */
  transports?: Transport[] | undefined;
  /** Instead of the global one, such as that of `ws` on Node 20. */
  WebSocket?: SocketConstructor | undefined;
  /** Times, for unusual networks and for tests. */
  times?: Partial<Times> | undefined;
  /** Hears what is thrown by listeners; by default it is rethrown where nobody catches it, as the platform does. */
  onListenerError?: ((error: unknown) => void) | undefined;
}

/** Times of the connection, in milliseconds where nothing else is said. */
export interface ConnectionTimes extends Pace {
  /** Until the first frame; then the transport counts as blocked. */
  firstFrameMs: number;
  /** Heartbeats of silence after which a link is dead. */
  silenceFactor: number;
  /** Until an answer to a probe. */
  probeMs: number;
  /** Between tries while the browser says that there is no network. */
  offlineMs: number;
  /** First pause after "too many connections"; doubled each time. */
  tooManyMs: number;
  tooManyMaxMs: number;
}

/** All times. */
export interface Times extends ConnectionTimes {
  /** Seconds for which the server keeps a long poll. */
  longPollS: number;
  /** Between two short polls. */
  shortPollMs: number;
  /** Silence of the leading tab after which a visible tab asks for it. */
  leaderSilenceMs: number;
  /** Until its answer; then the tab that asked takes the lead. */
  leaderAnswerMs: number;
}

/** Times that most applications want. */
export const TIMES: Times = {
  ...PACE,
  firstFrameMs: 10_000,
  silenceFactor: 1.5,
  probeMs: 5_000,
  offlineMs: 30_000,
  tooManyMs: 60_000,
  tooManyMaxMs: 600_000,
  longPollS: 25,
  shortPollMs: 30_000,
  leaderSilenceMs: 30_000,
  leaderAnswerMs: 5_000,
};
