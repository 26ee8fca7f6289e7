// Links, which all transports have in common: a link carries frames of one session until it ends, and says how it
// ended.

import { NetworkError, ProblemError } from "../../errors.js";
import type { ClientFrame, Transport } from "../../types.js";
import type { Frame } from "../frames.js";
import type { Why } from "../ladder.js";

/** End of a link. */
export interface End {
  why: Why;
  /** Close code, or the one that stands for an HTTP status; `null` when neither was seen. */
  code: number | null;
  /** Milliseconds after which to come back, if the server said so. */
  retryAfterMs: number | null;
  /** For the log. */
  detail: string;
}

/** Listener to a link. After `ended`, and after the link was closed, nothing more is heard. */
export interface Sink {
  /** Bytes came, of whatever kind. */
  alive(): void;
  /** The session stands. WebSocket and SSE say so by their `hello`, polls by the first answer. */
  opened(): void;
  frame(frame: Frame): void;
  /** A cursor that came beside frames. */
  cursor(cursor: string): void;
  ended(end: End): void;
}

/** Way of one session to the server. */
export interface Link {
  readonly transport: Transport;
  /** Replies come as frames. */
  send(frames: ClientFrame[]): void;
  /**
   * Asks for a sign of life, which comes as `alive`; `false` when this transport cannot ask. Times out by itself only
   * where it says so.
   */
  probe(): boolean;
  /** Whether silence of the server for 1.5 heartbeats means that the link is dead. */
  readonly beats: boolean;
  /** Ends it without a word to the sink. */
  close(): void;
}

/** Opens links. `cursor` is asked as late as possible. */
export type Dial = (transport: Transport, cursor: () => string | null, sink: Sink) => Link;

/** Codes after which no further try makes sense. */
export const FATAL = new Set([4400, 4403]);
/** No token, or one that ended. */
export const UNAUTHENTICATED = 4401;
/** Too many sessions of the person. */
export const TOO_MANY = 4429;

/** Meaning of a close code for the transport. */
export function endOfSocket(code: number, reason: string, open: boolean): End {
  const detail = `closed with ${code}${reason ? `: ${reason}` : ""}`;
  const said = code >= 4400 && code < 4500;
  return { why: open || said ? "lost" : "refused", code, retryAfterMs: null, detail };
}

/** Meaning of a failed request for the transport; `open` when it had worked before. */
export function endOfRequest(error: unknown, open: boolean): End {
  const detail = error instanceof Error ? error.message : String(error);
  const end = (why: Why, code: number | null = null, retryAfterMs: number | null = null): End => ({
    why,
    code,
    retryAfterMs,
    detail,
  });
  if (!(error instanceof ProblemError)) {
    return end(open ? "lost" : error instanceof NetworkError ? "unreachable" : "refused");
  }
  const { status, retryAfterMs } = error;
  const fanfare = error.problem.type !== "about:blank";
  if (status === 401) return end("lost", UNAUTHENTICATED);
  if (status === 403 && fanfare) return end("lost", 4403);
  if (status === 429) return end("busy", TOO_MANY, retryAfterMs);
  if (status === 503 && fanfare) return end("busy", null, retryAfterMs);
  // A gateway answers these when nobody stands behind it.
  if ([500, 502, 503, 504].includes(status)) return end(open ? "lost" : "unreachable", null, retryAfterMs);
  return end("refused");
}
