// Long and short polls: a request after the other, each with the cursor of the answer before.

import { sleep } from "../../clock.js";
import { NetworkError, ProblemError } from "../../errors.js";
import type { Http } from "../../http.js";
import type { ClientFrame, PollAnswer, Transport } from "../../types.js";
import { asFrame, KNOWS } from "../frames.js";
import { post } from "./post.js";
import { type End, endOfRequest, type Link, type Sink } from "./transport.js";

/** Pace of a link that polls. */
export interface PollPace {
  transport: Transport & ("long_poll" | "short_poll");
  /** Seconds that the server may wait with its answer; 0 for short polls. */
  waitS: number;
  /** Milliseconds between an answer and the next request. */
  pauseMs: number;
}

/** Milliseconds beyond the wait until an answer is given up. */
const GRACE_MS = 10_000;
/** Milliseconds for an answer after a probe. */
const PROBE_MS = 5_000;
/** Milliseconds within which an empty answer to a waiting poll is too early, and for which it is waited then. */
const EARLY_MS = 1_000;
/** Seconds of waiting below which a gateway that cuts waiting polls makes long polls useless. */
const WAIT_S_MIN = 5;

export class PollLink implements Link {
  readonly transport: Transport;
  readonly beats = false;
  #sink: Sink | null;
  #waitS: number;
  #probing = false;
  readonly #abort = new AbortController();
  /** Ends the request or the pause of the moment. */
  #turn = new AbortController();

  constructor(
    private readonly http: Http,
    private readonly pace: PollPace,
    cursor: () => string | null,
    sink: Sink,
  ) {
    this.transport = pace.transport;
    this.#waitS = pace.waitS;
    this.#sink = sink;
    void this.#poll(cursor);
  }

  send(frames: ClientFrame[]): void {
    void post(this.http, frames, null, this.#abort.signal, (reply) => this.#sink?.frame(reply));
  }

  probe(): boolean {
    this.#probing = true;
    this.#turn.abort(new NetworkError("polled again to see whether the network is there"));
    return true;
  }

  close(): void {
    this.#sink = null;
    this.#abort.abort();
    this.#turn.abort();
  }

  async #poll(cursor: () => string | null): Promise<void> {
    let open = false;
    while (this.#sink !== null) {
      // The first poll does not wait: it shows at once whether polls get through.
      const waitS = open && !this.#probing ? this.#waitS : 0;
      const probed = this.#probing;
      this.#probing = false;
      this.#turn = new AbortController();
      const asked = this.http.clock.now();
      try {
        const answer = await this.#ask(cursor(), waitS, probed ? PROBE_MS : waitS * 1000 + GRACE_MS);
        // A server, or something in between, that does not wait must not make this spin.
        const early = waitS > 0 && answer.events.length === 0 && this.http.clock.now() - asked < EARLY_MS;
        this.#take(answer, !open);
        open = true;
        await this.#pause(early ? EARLY_MS : this.pace.pauseMs);
      } catch (error) {
        if (this.#sink === null) return;
        if (this.#probing) continue;
        if (waitS > 0 && this.#shorten(error)) continue;
        return this.#end(endOfRequest(error, open));
      }
    }
  }

  async #ask(cursor: string | null, wait: number, timeoutMs: number): Promise<PollAnswer> {
    const options = { query: { v: 1, knows: KNOWS, cursor, wait }, signal: this.#turn.signal, timeoutMs, retries: 0 };
    return await this.http.json<PollAnswer>("GET", "/v1/realtime/poll", options);
  }

  #take(answer: PollAnswer, first: boolean): void {
    this.#sink?.alive();
    if (first) this.#sink?.opened();
    for (const event of answer.events) {
      const frame = asFrame(event);
      if (frame !== null) this.#sink?.frame(frame);
    }
    this.#sink?.cursor(answer.cursor);
  }

  async #pause(pauseMs: number): Promise<void> {
    if (pauseMs <= 0 || this.#sink === null) return;
    // A tenth of jitter, so that clients that started together drift apart.
    const ms = pauseMs * (0.9 + this.http.clock.random() / 5);
    await sleep(this.http.clock, ms, this.#turn.signal);
  }

  /** A gateway gave the waiting poll up: the next ones wait less; `false` when that makes no sense any more. */
  #shorten(error: unknown): boolean {
    const gateway = error instanceof ProblemError && error.status === 504;
    if (!gateway || this.#waitS / 2 < WAIT_S_MIN) return false;
    this.#waitS = Math.floor(this.#waitS / 2);
    return true;
  }

  #end(end: End): void {
    const sink = this.#sink;
    this.close();
    sink?.ended(end);
  }
}
