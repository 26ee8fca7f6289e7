// WebSocket. Browsers cannot set headers on it, so a ticket, got over HTTP, lets it in.

import type { Http } from "../../http.js";
import type { ClientFrame, Ticket } from "../../types.js";
import { KNOWS, parseFrame } from "../frames.js";
import { type End, endOfRequest, endOfSocket, type Link, type Sink } from "./transport.js";

/**
 * The part of the standard WebSocket that is used here; `ws` of npm has it too. Each has types of its own for events, which
 * know more than what is read here: `any` lets all of them fit.
 */
export interface SocketLike {
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  onopen: ((event: any) => void) | null;
  readonly readyState: number;
  send(text: string): void;
  close(code?: number): void;
}

/** Makes one. */
export type SocketConstructor = new (url: string) => SocketLike;

const OPEN = 1;
/** Milliseconds for the ticket. */
const TICKET_MS = 10_000;
/** The first of the refs of pings that the SDK sends by itself; those of the application stay below. */
const PING_REF = 2 ** 52;

export class WebSocketLink implements Link {
  readonly transport = "websocket";
  readonly beats = true;
  #socket: SocketLike | null = null;
  #sink: Sink | null;
  #open = false;
  #pings = 0;
  readonly #abort = new AbortController();

  constructor(
    private readonly http: Http,
    private readonly Socket: SocketConstructor,
    cursor: () => string | null,
    sink: Sink,
  ) {
    this.#sink = sink;
    void this.#dial(cursor);
  }

  send(frames: ClientFrame[]): void {
    if (this.#socket?.readyState !== OPEN) return;
    for (const frame of frames) this.#socket.send(JSON.stringify(frame));
  }

  probe(): boolean {
    this.#pings += 1;
    this.send([{ ref: PING_REF + this.#pings, type: "ping" }]);
    return true;
  }

  close(): void {
    this.#sink = null;
    this.#abort.abort();
    const socket = this.#socket;
    this.#socket = null;
    // Closing before it is open is allowed, and ends the try.
    socket?.close(1000);
  }

  async #dial(cursor: () => string | null): Promise<void> {
    try {
      const options = { signal: this.#abort.signal, timeoutMs: TICKET_MS };
      const { ticket } = await this.http.json<Ticket>("POST", "/v1/realtime/tickets", options);
      if (this.#sink === null) return;
      const url = this.http.url("/v1/realtime", { v: 1, knows: KNOWS, ticket, cursor: cursor() });
      this.#listen(new this.Socket(url.replace(/^http/, "ws")));
    } catch (error) {
      this.#end(endOfRequest(error, false));
    }
  }

  #listen(socket: SocketLike): void {
    this.#socket = socket;
    // The handshake alone proves little: some proxies let it pass and nothing after it.
    socket.onopen = () => {};
    socket.onerror = () => {};
    socket.onclose = (event: { code: number; reason: string }) => this.#end(endOfSocket(event.code, event.reason, this.#open));
    socket.onmessage = (event: { data: unknown }) => {
      if (typeof event.data !== "string" || this.#sink === null) return;
      this.#sink.alive();
      const frame = parseFrame(event.data);
      if (frame === null) return;
      if (frame.type === "hello" && !this.#open) {
        this.#open = true;
        this.#sink.opened();
      }
      this.#sink?.frame(frame);
    };
  }

  #end(end: End): void {
    const sink = this.#sink;
    this.close();
    sink?.ended(end);
  }
}
