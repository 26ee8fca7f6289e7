// The leading tab's part, or a lone page's and Node's: a connection, the inbox behind it, and what belongs to the session.

import type { Client } from "../client.js";
import type { Clock } from "../clock.js";
import type { Hello, Id, Presence, Transport } from "../types.js";
import { Connection } from "./connection.js";
import { fetcher } from "./fetchers.js";
import type { EventInfo, Frame } from "./frames.js";
import type { HandedOut } from "./fresh.js";
import { Inbox } from "./inbox.js";
import type { Times } from "./options.js";
import { PresenceWatch } from "./presence.js";
import type { State } from "./state.js";
import type { Dial } from "./transports/transport.js";

/** Parts of a session. */
export interface SessionParts {
  client: Client;
  clock: Clock;
  dial: Dial;
  times: Times;
  transports: readonly Transport[];
  recover: boolean;
  out: HandedOut;
  cursor: string | null;
  first: Transport | null;
  emit(info: EventInfo, data: unknown): void;
  commit(cursor: string): void;
  state(state: State): void;
}

export class Session {
  readonly connection: Connection;
  readonly #inbox: Inbox;
  readonly #presence: PresenceWatch;
  #session: object | null = null;

  constructor(private readonly parts: SessionParts) {
    const { client, clock, out, recover } = parts;
    const emit = (info: EventInfo, data: unknown) => parts.emit(info, data);
    this.#inbox = new Inbox({ clock, fetch: fetcher(client), recover, out, emit, commit: (to) => parts.commit(to) });
    this.#presence = new PresenceWatch({
      clock,
      send: (data) => this.connection.send("presence.watch", data),
      changed: (presence) => emit({ type: "presence", at: null, lane: null, recovered: true }, presence),
    });
    this.connection = new Connection({
      ...parts,
      frame: (frame) => this.#frame(frame),
      state: (state) => this.#state(state),
    });
  }

  start(): void {
    this.connection.start();
  }

  stop(): void {
    this.#presence.lost();
    this.#inbox.close();
    this.connection.stop();
  }

  /** Watches these people, in place of those before. */
  watch(ids: Id[]): void {
    this.#presence.watch(ids);
  }

  #frame(frame: Frame): void {
    if (frame.type === "presence" && !this.#presence.take(frame.data as Presence)) return;
    this.#inbox.take(frame);
    // A fresh session without a durable frame yet can be resumed too.
    const { cursor } = this.connection;
    if (frame.type === "hello" && !(frame.data as Hello).resumed && cursor && !this.#inbox.recovering) {
      this.parts.commit(cursor);
    }
  }

  #state(state: State): void {
    // Every opening is a state of its own, also when one transport takes over from another.
    if (state.status === "open" && state !== this.#session) {
      this.#session = state;
      this.#presence.opened(state.transport === "websocket" || state.transport === "sse");
    } else if (state.status !== "open") {
      this.#session = null;
      this.#presence.lost();
    }
    this.parts.state(state);
  }
}
