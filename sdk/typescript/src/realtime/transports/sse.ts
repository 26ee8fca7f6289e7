// Server-sent events by fetch: unlike EventSource it sends the token in a header and sees statuses and heartbeats.

import type { Http } from "../../http.js";
import type { ClientFrame, Hello, Id } from "../../types.js";
import { type Frame, KNOWS, parseFrame } from "../frames.js";
import { SseParser } from "../sse.js";
import { post } from "./post.js";
import { type End, endOfRequest, type Link, type Sink } from "./transport.js";

/** Milliseconds for the head; the watchdog of the connection is what bounds the first frame. */
const HEAD_MS = 60_000;

export class SseLink implements Link {
  readonly transport = "sse";
  readonly beats = true;
  #sink: Sink | null;
  #open = false;
  #session: Id | null = null;
  readonly #abort = new AbortController();

  constructor(
    private readonly http: Http,
    cursor: () => string | null,
    sink: Sink,
  ) {
    this.#sink = sink;
    void this.#read(cursor);
  }

  send(frames: ClientFrame[]): void {
    void post(this.http, frames, this.#session, this.#abort.signal, (reply) => this.#sink?.frame(reply));
  }

  probe(): boolean {
    return false;
  }

  close(): void {
    this.#sink = null;
    this.#abort.abort();
  }

  async #read(cursor: () => string | null): Promise<void> {
    try {
      const response = await this.http.send("GET", "/v1/realtime/sse", {
        query: { v: 1, knows: KNOWS, cursor: cursor() },
        headers: { accept: "text/event-stream" },
        signal: this.#abort.signal,
        timeoutMs: HEAD_MS,
        retries: 0,
      });
      const type = response.headers.get("content-type") ?? "";
      if (!type.startsWith("text/event-stream") || response.body === null) {
        return this.#end({ why: "refused", code: null, retryAfterMs: null, detail: `answered with ${type}` });
      }
      await this.#frames(response.body);
      this.#end({ why: this.#open ? "lost" : "refused", code: null, retryAfterMs: null, detail: "the stream ended" });
    } catch (error) {
      this.#end(endOfRequest(error, this.#open));
    }
  }

  async #frames(body: ReadableStream<Uint8Array>): Promise<void> {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    const parser = new SseParser();
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.#sink === null) return;
      this.#sink.alive();
      for (const event of parser.push(decoder.decode(value, { stream: true }))) {
        const frame = parseFrame(event.data);
        if (frame !== null) this.#frame(frame);
      }
    }
  }

  #frame(frame: Frame): void {
    if (frame.type === "hello" && !this.#open) {
      this.#open = true;
      this.#session = (frame.data as Hello).session_id;
      this.#sink?.opened();
    }
    this.#sink?.frame(frame);
  }

  #end(end: End): void {
    const sink = this.#sink;
    this.close();
    sink?.ended(end);
  }
}
