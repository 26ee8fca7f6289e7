// Client frames that wait for their replies. They outlive links: what has no reply yet is sent again on the next one,
// which is safe because every frame may be repeated.

import type { Clock, Timer } from "../clock.js";
import { FanfareError, NetworkError, ProblemError } from "../errors.js";
import type { ClientFrame } from "../types.js";
import type { Frame } from "./frames.js";

/** Frames that may wait at once; further ones are refused. */
export const PENDING_MAX = 200;
/** Milliseconds after which a frame without reply is given up. */
export const REPLY_MS = 30_000;
/** Refusals that pass by themselves; a frame of which nobody knows whether it was done may be repeated too. */
const BUSY = new Set<string>(["rate_limited", "overloaded", "outcome_unknown"]);

interface Pending {
  frame: ClientFrame;
  resolve: (data: unknown) => void;
  reject: (error: Error) => void;
  timer: Timer;
}

export class Outbox {
  readonly #pending = new Map<number, Pending>();
  #ref = 0;

  constructor(private readonly clock: Clock) {}

  /** A frame of this type, and what becomes of it: the reply's data, or its problem. */
  put(type: string, data: unknown): { frame: ClientFrame; reply: Promise<unknown> } {
    if (this.#pending.size >= PENDING_MAX) throw new FanfareError(`more than ${PENDING_MAX} frames wait for replies`);
    this.#ref += 1;
    const frame: ClientFrame = data === undefined ? { ref: this.#ref, type } : { ref: this.#ref, type, data };
    const reply = new Promise<unknown>((resolve, reject) => {
      const late = () => this.#drop(frame.ref)?.reject(new NetworkError(`${type}: no reply`));
      const timer = this.clock.after(REPLY_MS, late);
      this.#pending.set(frame.ref, { frame, resolve, reject, timer });
    });
    return { frame, reply };
  }

  /** Everything without a reply, in the order in which it was put. */
  waiting(): ClientFrame[] {
    return [...this.#pending.values()].map((pending) => pending.frame);
  }

  /** Whether the frame with this ref still has no reply. */
  waits(ref: number): boolean {
    return this.#pending.has(ref);
  }

  /** A reply came. Answers the frame if it is to be sent again after a while: the server was busy, or this client fast. */
  settle(reply: Frame): ClientFrame | null {
    const again = typeof reply.ref === "number" && !reply.ok ? this.#pending.get(reply.ref) : undefined;
    if (again && BUSY.has(reply.error?.code ?? "")) return again.frame;
    this.#settled(reply);
    return null;
  }

  #settled(reply: Frame): void {
    const pending = typeof reply.ref === "number" ? this.#drop(reply.ref) : undefined;
    if (!pending) return;
    if (reply.ok) pending.resolve(reply.data);
    else if (reply.error) pending.reject(new ProblemError(reply.error));
    else pending.reject(new FanfareError(`${pending.frame.type}: refused`));
  }

  /** Nothing will be sent any more. */
  fail(error: Error): void {
    for (const ref of [...this.#pending.keys()]) this.#drop(ref)?.reject(error);
  }

  #drop(ref: number): Pending | undefined {
    const pending = this.#pending.get(ref);
    this.#pending.delete(ref);
    this.clock.cancel(pending?.timer);
    return pending;
  }
}
