// Between the connection and the application: every keyed item once, in the order of its stream, and whole again after a
// gap or a reset. While a stream is being read over HTTP its frames wait here; the other streams go on.

import { type Clock, sleep } from "../clock.js";
import type { Gap, Id, Reset, Stream } from "../types.js";
import type { Fetcher, Range } from "./fetchers.js";
import { type EventInfo, type Frame, streamsOf } from "./frames.js";
import { fresh, type HandedOut } from "./fresh.js";

/** Frames that may wait while a stream is being read; beyond it they are dropped, and the application is told to reload. */
export const HELD_MAX = 2_000;
/** Tries of one recovery, and milliseconds between them. */
const TRIES = 4;
const TRY_MS = 2_000;

/** Parts of an inbox. */
export interface InboxParts {
  clock: Clock;
  fetch: Fetcher;
  recover: boolean;
  out: HandedOut;
  emit(info: EventInfo, data: unknown): void;
  /** Everything up to this cursor was handed out. */
  commit(cursor: string): void;
}

export class Inbox {
  /** Streams that are being read, with what waits for them. */
  readonly #held = new Map<Stream, Frame[]>();
  #uncommitted: string | null = null;
  #closed = false;

  constructor(private readonly parts: InboxParts) {}

  /** Streams that are being read over HTTP. */
  get recovering(): boolean {
    return this.#held.size > 0;
  }

  /** Nothing is handed out any more. */
  close(): void {
    this.#closed = true;
    this.#held.clear();
  }

  take(frame: Frame): void {
    if (frame.id) this.#uncommitted = frame.id;
    const holding = streamsOf(frame).find((stream) => this.#held.has(stream));
    if (holding) this.#hold(holding, frame);
    else this.#handOut(frame);
    this.#commit();
  }

  #hold(stream: Stream, frame: Frame): void {
    const held = this.#held.get(stream);
    if (!held) return;
    held.push(frame);
    if (held.length <= HELD_MAX) return;
    held.length = 0;
    this.#emitReset({ streams: [stream], reason: "overflow" }, frame, false);
  }

  #handOut(frame: Frame): void {
    if (this.#closed) return;
    if (frame.type === "gap") return this.#gap(frame);
    if (frame.type === "reset") return this.#reset(frame);
    this.#emit(infoOf(frame), frame.data);
  }

  #emit(info: EventInfo, data: unknown): void {
    const news = fresh(this.parts.out, info.type, data);
    // Events of operators may carry `null`.
    if (news !== null || data === null) this.parts.emit(info, news);
  }

  #gap(frame: Frame): void {
    const gap = frame.data as Gap;
    const recovering = this.parts.recover && isReadable(gap.stream);
    this.parts.emit(infoOf(frame), { ...gap, recovering });
    if (recovering) void this.#recover(gap.stream, gap.after, gap.before, frame);
  }

  #reset(frame: Frame): void {
    const reset = frame.data as Reset;
    // Without anything handed out there is nothing to go on from: the application reads its view anyway.
    const known = reset.streams.filter((stream) => isReadable(stream) && this.parts.out.newest[stream] !== undefined);
    const recovering = this.parts.recover && known.length > 0;
    this.#emitReset(reset, frame, recovering);
    if (!recovering) return;
    for (const stream of known) void this.#recover(stream, this.parts.out.newest[stream] as Id, null, frame);
  }

  #emitReset(reset: Reset, frame: Frame, recovering: boolean): void {
    this.parts.emit({ ...infoOf(frame), type: "reset" }, { ...reset, recovering });
  }

  async #recover(stream: Stream, after: Id, before: Id | null, cause: Frame): Promise<void> {
    this.#held.set(stream, []);
    const range = await this.#read(stream, after, before);
    const held = this.#held.get(stream);
    if (this.#closed || !held) return;
    this.#held.delete(stream);
    if (range) this.#handOutRange(range, cause);
    if (!range?.complete) this.#emitReset({ streams: [stream], reason: "incomplete" }, cause, false);
    this.#release(stream, held);
    this.#commit();
  }

  #handOutRange(range: Range, cause: Frame): void {
    const info = { at: cause.at ?? null, lane: cause.lane ?? null, recovered: true };
    this.#emit({ ...info, type: "feed.posts" }, { items: range.posts });
    for (const item of [...range.notifications].reverse()) {
      this.#emit({ ...info, type: "notification" }, item);
    }
  }

  /** Hands out what waited, until one of them is itself a gap or a reset of the stream. */
  #release(stream: Stream, frames: Frame[]): void {
    while (frames.length > 0 && !this.#held.has(stream)) this.#handOut(frames.shift() as Frame);
    if (frames.length > 0) this.#held.get(stream)?.push(...frames);
  }

  async #read(stream: Stream, after: Id, before: Id | null): Promise<Range | null> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.parts.fetch(stream, after, before);
      } catch {
        if (tries >= TRIES || this.#closed) return null;
        await sleep(this.parts.clock, TRY_MS * tries);
      }
    }
  }

  #commit(): void {
    if (this.#uncommitted === null || this.#held.size > 0 || this.#closed) return;
    this.parts.commit(this.#uncommitted);
    this.#uncommitted = null;
  }
}

function infoOf(frame: Frame): EventInfo {
  return { type: frame.type, at: frame.at ?? null, lane: frame.lane ?? null, recovered: false };
}

/** Streams that a list of the API can be read for. */
function isReadable(stream: Stream): boolean {
  return stream === "posts" || stream === "notifications";
}
