// Client frames of links that only listen: they go by POST, and their replies come back with the answer.

import type { Http } from "../../http.js";
import type { ClientFrame, Id, Reply } from "../../types.js";
import type { Frame } from "../frames.js";

/** Sends frames of a session and hands their replies on; a failure leaves them without reply, for the sender to repeat. */
export async function post(
  http: Http,
  frames: ClientFrame[],
  sessionId: Id | null,
  signal: AbortSignal,
  reply: (frame: Frame) => void,
): Promise<void> {
  if (frames.length === 0) return;
  try {
    const options = { query: { v: 1, session_id: sessionId }, body: { frames }, signal, repeatable: true };
    const answer = await http.json<{ replies: Reply[] }>("POST", "/v1/realtime/send", options);
    for (const one of answer.replies) reply({ ...one, type: "reply" });
  } catch {
    // The frames stay pending.
  }
}
