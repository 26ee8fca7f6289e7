// Time and chance, handed in so that tests can hold them still.

/** Name of a timer; opaque. */
export type Timer = unknown;

/** Time and chance. */
export interface Clock {
  /** Milliseconds that only grow while the machine is awake, and jump after it slept. */
  now(): number;
  /** Calls once, after so many milliseconds. */
  after(ms: number, call: () => void): Timer;
  /** Takes a call back; an old or absent timer is fine. */
  cancel(timer: Timer): void;
  /** 0 to below 1. */
  random(): number;
}

/** The machine's own. */
export const systemClock: Clock = {
  // Not performance.now(): in some browsers it stands still while the machine sleeps, and sleep must be noticed.
  now: () => Date.now(),
  after: (ms, call) => setTimeout(call, ms),
  cancel: (timer) => {
    if (timer !== undefined && timer !== null) clearTimeout(timer as ReturnType<typeof setTimeout>);
  },
  random: () => Math.random(),
};

/** Waits; rejects with the signal's reason when it is aborted first. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal | null): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const timer = clock.after(ms, () => {
      signal?.removeEventListener("abort", abort);
      resolve();
    });
    const abort = () => {
      clock.cancel(timer);
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", abort, { once: true });
  });
}
