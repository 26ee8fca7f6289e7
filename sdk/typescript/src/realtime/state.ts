// State of a connection as an application sees it.

import type { RealtimeError } from "../errors.js";
import type { Transport } from "../types.js";

/** State of realtime. */
export interface State {
  /**
   * `idle` not started, `connecting` a try is under way, `open` events flow, `waiting` the next try comes at `retryAt`,
   * or nobody is logged in (`retryAt` is null then), `offline` the browser says that there is no network, `stopped` for good, by `error`.
   */
  readonly status: "idle" | "connecting" | "open" | "waiting" | "offline" | "stopped";
  /** Transport of the session, or the one that is being tried. */
  readonly transport: Transport | null;
  /** Milliseconds since 1970. */
  readonly retryAt: number | null;
  readonly error: RealtimeError | null;
}

/** Before the start, and after `stop()`. */
export const IDLE: State = { status: "idle", transport: null, retryAt: null, error: null };
