// Choice of the next transport, and when to try it: decisions as plain functions over a value. No timers here, no
// sockets.
//
// Down: a transport that cannot come up, or that fell silent, gives way to the next one at once. Up: while a lesser one
// carries the session, better ones are tried beside it, at growing intervals. No network at all is no reason to go down.

import type { Transport } from "../types.js";

/** Why a try or a session ended. */
export type Why =
  /** Nothing answered at all: no network, or no server. */
  | "unreachable"
  /** Something answered, but not with this transport. */
  | "refused"
  /** Connected, but no first frame in time: something in between keeps it back. */
  | "silent"
  /** Was open and said nothing for too long. */
  | "mute"
  /** Was open and broke off. */
  | "lost"
  /** The server asked for patience. */
  | "busy";

/** Times in milliseconds, and counts. */
export interface Pace {
  /** Longest first pause; doubled with each failure. */
  backoffMs: number;
  backoffMaxMs: number;
  /** A session that lived so long was a good one: pauses start over. */
  stableMs: number;
  /** Pause before better transports are tried; doubled with each failure. */
  climbMs: number;
  climbMaxMs: number;
  /** Failures of the same kind in a row after which an unreachable or short-lived transport gives way. */
  strikesMax: number;
}

/** Pace that most applications want. */
export const PACE: Pace = {
  backoffMs: 1_000,
  backoffMaxMs: 30_000,
  stableMs: 10_000,
  climbMs: 30_000,
  climbMaxMs: 600_000,
  strikesMax: 3,
};

/** State of a client on the ladder of transports. */
export interface Ladder {
  /** Transports that may be used, best first; not empty. */
  readonly rungs: readonly Transport[];
  /** The one in use, or to be tried. */
  readonly rung: number;
  /** Failures since the last good session. */
  readonly failures: number;
  /** Failures in a row on this rung that do not send it down at once. */
  readonly strikes: number;
  /** Moment at which the session opened; `null` while there is none. */
  readonly openedAt: number | null;
  /** Climbs that failed since the network last changed. */
  readonly climbFailures: number;
}

/** A fresh start, at `first` if that may be used. */
export function ladder(rungs: readonly Transport[], first?: Transport | null): Ladder {
  const rung = first ? Math.max(0, rungs.indexOf(first)) : 0;
  return { rungs, rung, failures: 0, strikes: 0, openedAt: null, climbFailures: 0 };
}

/** The transport to try, or in use. */
export function current(state: Ladder): Transport {
  const transport = state.rungs[state.rung];
  if (transport === undefined) throw new RangeError("a ladder without this rung");
  return transport;
}

/** The session opened at `now`. */
export function opened(state: Ladder, now: number): Ladder {
  return { ...state, openedAt: now };
}

/** A try or a session ended: what to try next, and after how many milliseconds. `random` is 0 to below 1. */
export function failed(state: Ladder, why: Why, now: number, random: number, pace: Pace = PACE): [Ladder, number] {
  const lived = state.openedAt === null ? 0 : now - state.openedAt;
  const good = state.openedAt !== null && lived >= pace.stableMs;
  const fresh = good ? { ...state, failures: 0, strikes: 0 } : state;
  const base: Ladder = { ...fresh, openedAt: null };
  if (why === "busy") return [{ ...base, failures: base.failures + 1 }, backoff(base.failures, random, pace)];
  if (why === "refused" || why === "silent" || why === "mute") return down(base, random, pace);
  // A session that lived long and broke off says nothing against its transport.
  // Nor does a WebSocket's plain request for a ticket that finds nobody: that is an outage, not a blocked transport.
  const outage = why === "unreachable" && current(base) === "websocket";
  const strikes = good || outage ? 0 : base.strikes + 1;
  if (strikes >= pace.strikesMax) return down(base, random, pace);
  return [{ ...base, strikes, failures: base.failures + 1 }, backoff(base.failures, random, pace)];
}

/** Goes one rung down, at once; from the lowest back to the top, after a pause. */
function down(state: Ladder, random: number, pace: Pace): [Ladder, number] {
  if (state.rung < state.rungs.length - 1) return [{ ...state, rung: state.rung + 1, strikes: 0 }, 0];
  const next = { ...state, rung: 0, strikes: 0, failures: state.failures + 1 };
  return [next, backoff(state.failures, random, pace)];
}

/** The pause after so many failures: full jitter at first, so that a crowd that lost its server does not come back as one. */
export function backoff(failures: number, random: number, pace: Pace = PACE): number {
  if (failures <= 0) return pace.backoffMs * random;
  // Bounded before it is computed: 2 ** 2000 is no number.
  const longest = Math.min(pace.backoffMaxMs, pace.backoffMs * 2 ** Math.min(failures, 30));
  return longest * (0.5 + random / 2);
}

/** Milliseconds until better transports are tried; `null` on the top. */
export function climbDelay(state: Ladder, random: number, pace: Pace = PACE): number | null {
  if (state.rung === 0) return null;
  const longest = Math.min(pace.climbMaxMs, pace.climbMs * 2 ** Math.min(state.climbFailures, 30));
  return longest * (0.5 + random / 2);
}

/** The transports to try beside the one in use, best first. */
export function better(state: Ladder): Transport[] {
  return state.rungs.slice(0, state.rung);
}

/** A better transport opened beside the one in use and takes over. */
export function climbed(state: Ladder, to: Transport, now: number): Ladder {
  return { ...state, rung: state.rungs.indexOf(to), strikes: 0, openedAt: now, climbFailures: 0 };
}

/** None of them opened. */
export function climbFailed(state: Ladder): Ladder {
  return { ...state, climbFailures: state.climbFailures + 1 };
}

/** State after a change of the network, or a waking of the machine: what failed before may work now. */
export function networkChanged(state: Ladder): Ladder {
  return { ...state, failures: 0, strikes: 0, climbFailures: 0 };
}
