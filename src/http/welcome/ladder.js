// Which transport to try next, and when: the SDK's rules (sdk/typescript/src/realtime/ladder.ts) with shorter times, so
// that one sees them at work, and one difference: without any network the SDK stays on its rung, here it shows the way
// down. Plain functions over a value; no timers, no sockets.

/** Every transport, the best first, with the words for it. */
export const RUNGS = ["websocket", "sse", "long_poll", "short_poll"];
export const NAMES = { websocket: "WebSocket", sse: "SSE", long_poll: "long poll", short_poll: "short poll" };

/** Milliseconds: the shortest pause before the next rung, that before the way begins again, and that before a climb. */
export const PACE = { stepMs: 450, roundMs: 1500, roundMaxMs: 6000, climbMs: 2500, climbMaxMs: 60000 };

/** A fresh start, at the top. */
export function ladder() {
  return { rung: 0, failures: 0, rounds: 0, climbs: 0 };
}

/** The transport to try, or in use. */
export function current(state) {
  return RUNGS[state.rung];
}

/** The session opened. */
export function opened(state) {
  return { ...state, failures: 0, rounds: 0 };
}

/** A try or a session ended: what to try next, and after how many milliseconds. `random` is 0 to below 1. */
export function failed(state, why, random, pace = PACE) {
  const failures = state.failures + 1;
  // A session that was open and broke off says nothing against its transport: once more on the same rung.
  if (why === "lost") return [{ ...state, failures }, pace.stepMs * random];
  if (state.rung < RUNGS.length - 1) return [{ ...state, failures, rung: state.rung + 1 }, pace.stepMs];
  const pause = Math.min(pace.roundMaxMs, pace.roundMs * 2 ** Math.min(state.rounds, 10)) * (0.75 + random / 4);
  return [{ ...state, failures, rung: 0, rounds: state.rounds + 1 }, pause];
}

/** Milliseconds until better transports are tried; `null` on the top. */
export function climbDelay(state, random, pace = PACE) {
  if (state.rung === 0) return null;
  return Math.min(pace.climbMaxMs, pace.climbMs * 2 ** Math.min(state.climbs, 20)) * (0.75 + random / 4);
}

/** The transports to try beside the one in use, best first. */
export function better(state) {
  return RUNGS.slice(0, state.rung);
}

/** A better transport opened beside the one in use and takes over. */
export function climbed(state, transport) {
  return { ...state, rung: RUNGS.indexOf(transport), climbs: 0 };
}

/** None of them opened. */
export function climbFailed(state) {
  return { ...state, climbs: state.climbs + 1 };
}

/** Another network: what failed before may work now. */
export function networkChanged(state) {
  return { ...state, failures: 0, rounds: 0, climbs: 0 };
}
