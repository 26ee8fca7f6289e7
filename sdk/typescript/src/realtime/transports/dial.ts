// Classes of the transports.

import type { Http } from "../../http.js";
import type { Transport } from "../../types.js";
import type { Times } from "../options.js";
import { PollLink } from "./poll.js";
import { SseLink } from "./sse.js";
import type { Dial } from "./transport.js";
import { type SocketConstructor, WebSocketLink } from "./websocket.js";

/** The platform's WebSocket, if it has one: browsers do, and Node from 22 on. */
export function platformSocket(): SocketConstructor | undefined {
  return (globalThis as { WebSocket?: SocketConstructor }).WebSocket;
}

/** Opens links of every kind on `http`. */
export function dialer(http: Http, Socket: SocketConstructor | undefined, times: Times): Dial {
  return (transport: Transport, cursor, sink) => {
    switch (transport) {
      case "websocket":
        if (!Socket) throw new TypeError("there is no WebSocket here");
        return new WebSocketLink(http, Socket, cursor, sink);
      case "sse":
        return new SseLink(http, cursor, sink);
      case "long_poll":
        return new PollLink(http, { transport, waitS: times.longPollS, pauseMs: 0 }, cursor, sink);
      default:
        return new PollLink(http, { transport: "short_poll", waitS: 0, pauseMs: times.shortPollMs }, cursor, sink);
    }
  };
}
