// Client frames of links that only listen: they go by POST, and their replies come back with the answer.

import type { Http } from "../../http.js";
import type { ClientFrame, Id, Reply } from "../../types.js";
import type { Frame } from "../frames.js";

/** Frames of one request. */
const FRAMES_MAX = 50;

/** Sends frames of a session and hands their replies on; a failure leaves them without reply, for the sender to repeat. */
export async function post(
  http: Http,
  frames: ClientFrame[],
  sessionId: Id | null,
  signal: AbortSignal,
  reply: (frame: Frame) => void,
): Promise<void> {
  try {
    for (let at = 0; at < frames.length; at += FRAMES_MAX) {
      const body = { frames: frames.slice(at, at + FRAMES_MAX) };
      const options = { query: { session_id: sessionId }, body, signal, repeatable: true };
      const answer = await http.json<{ replies: Reply[] }>("POST", "/v1/realtime/send", options);
      for (const one of answer.replies) reply({ ...one, type: "reply" });
    }
  } catch {
    // The frames stay pending.
  }
}
