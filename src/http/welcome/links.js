// The four ways to the server. A link carries frames of one session until it ends; then it says why, once:
// `refused` never opened, `lost` was open and broke off, `unknown` met a server that does not know the token. What it hears goes to its sink: opened, frame, cursor, ended.
import { close } from "./network.js";

/** Seconds for which the server keeps a long poll, and milliseconds between short ones. */
const LONG_POLL_S = 20;
const SHORT_POLL_MS = 1500;
/** Milliseconds between pings of a WebSocket, which keep what is in between awake. */
const PING_MS = 20000;
/** Types of frames that this page understands, beside what every client does. */
const KNOWS = "author.deleted";
/** What a request says that is answered 401. */
const UNKNOWN = "status 401";

const DIALS = { websocket, sse, long_poll: poll, short_poll: poll };

/** Opens a link. `way` holds the network, the token and the cursor of the moment. Closing it says nothing to the sink. */
export function open(transport, way, sink) {
  const ending = new AbortController();
  const link = { transport, closed: false };
  link.close = () => {
    link.closed = true;
    ending.abort();
  };
  const heard = {
    opened: () => link.closed || sink.opened(link),
    frame: (frame) => link.closed || sink.frame(link, frame),
    cursor: (cursor) => link.closed || sink.cursor(link, cursor),
  };
  let wasOpen = false;
  const opened = () => {
    if (!wasOpen) heard.opened();
    wasOpen = true;
  };
  DIALS[transport]({ ...way, transport, signal: ending.signal }, { ...heard, opened }).catch((error) => error.message).then((why) => {
    if (link.closed) return;
    link.close();
    sink.ended(link, why === UNKNOWN ? "unknown" : wasOpen ? "lost" : "refused");
  });
  return link;
}

function query(values) {
  const given = Object.entries({ v: 1, ...values }).filter(([, value]) => value !== null && value !== "");
  return `?${new URLSearchParams(given)}`;
}

async function ask(way, method, path) {
  const headers = { authorization: `Bearer ${way.token}` };
  const answer = await way.network.fetch(way.transport, path, { method, headers, signal: way.signal });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer;
}

/** A browser's WebSocket has no headers: a ticket lets it in. */
async function websocket(way, sink) {
  const { ticket } = await (await ask(way, "POST", "/v1/realtime/tickets")).json();
  const socket = await way.network.socket(`/v1/realtime${query({ knows: KNOWS, ticket, cursor: way.cursor() })}`);
  await new Promise((ended) => {
    let pings = 0;
    const pinging = setInterval(() => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify({ ref: (pings += 1), type: "ping" })), PING_MS);
    const end = () => {
      clearInterval(pinging);
      ended();
    };
    socket.onclose = end;
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.type === "hello") sink.opened();
      sink.frame(frame);
    };
    way.signal.addEventListener("abort", () => {
      socket.onmessage = null;
      close(socket);
      end();
    });
  });
}

/** Server-sent events, read with fetch: the token goes in a header. */
async function sse(way, sink) {
  const answer = await ask(way, "GET", `/v1/realtime/sse${query({ knows: KNOWS, cursor: way.cursor() })}`);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data: ")) continue;
      const frame = JSON.parse(line.slice(6));
      if (frame.type === "hello") sink.opened();
      sink.frame(frame);
    }
  }
}

/** One request after the other, each with the cursor of the answer before. The first never waits. */
async function poll(way, sink) {
  let cursor = way.cursor();
  for (let turn = 0; ; turn += 1) {
    const wait = turn > 0 && way.transport === "long_poll" ? LONG_POLL_S : 0;
    const answer = await (await ask(way, "GET", `/v1/realtime/poll${query({ knows: KNOWS, cursor, wait })}`)).json();
    sink.opened();
    for (const frame of answer.events) sink.frame(frame);
    cursor = answer.cursor;
    sink.cursor(cursor);
    if (way.transport === "short_poll") await new Promise((wake) => setTimeout(wake, SHORT_POLL_MS));
    way.signal.throwIfAborted();
  }
}
