// Requests and transports against a server that behaves as the test says, good and bad.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import test from "node:test";
import { Client, NetworkError, ProblemError } from "../dist/index.js";
import { TIMES } from "../dist/realtime/options.js";
import { dialer } from "../dist/realtime/transports/dial.js";
import { hello, posts, until } from "./fakes.mjs";

/** A server for one test; `routes` maps "METHOD /path" to a handler. */
async function serve(t, routes) {
  const requests = [];
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://x");
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const seen = { path: url.pathname, query: Object.fromEntries(url.searchParams), headers: request.headers, body: Buffer.concat(chunks).toString() };
    requests.push(seen);
    const route = routes[`${request.method} ${url.pathname}`];
    if (route) await route(response, seen, requests);
    else problem(response, 404, "not_found");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { base: `http://127.0.0.1:${server.address().port}`, requests };
}

const json = (response, value, status = 200, headers = {}) => {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(value));
};
const problem = (response, status, code, headers = {}) => {
  const body = { type: `/docs/problems#${code}`, title: "T", status, detail: "D", code };
  response.writeHead(status, { "content-type": "application/problem+json", "x-request-id": "r1", ...headers });
  response.end(JSON.stringify(body));
};

/** A link and what it said. */
function open(base, transport, options = {}) {
  const client = new Client({ baseUrl: base, token: "t1", ...options.client });
  const said = { frames: [], cursors: [], ends: [], opened: 0, alive: 0 };
  const sink = {
    alive: () => (said.alive += 1),
    opened: () => (said.opened += 1),
    frame: (frame) => said.frames.push(frame),
    cursor: (cursor) => said.cursors.push(cursor),
    ended: (end) => said.ends.push(end),
  };
  let cursor = options.cursor ?? null;
  sink.cursor = (next) => said.cursors.push((cursor = next));
  const link = dialer(client.http, options.WebSocket, { ...TIMES, ...options.times })(transport, () => cursor, sink);
  return { link, said };
}

test("problems are typed errors, with the field that is wrong", async (t) => {
  const { base } = await serve(t, {
    "GET /v1/users/me": (response) => problem(response, 403, "forbidden"),
    "GET /v1/feed/unread": (response) => response.writeHead(500, { "content-type": "text/html" }).end("<h1>"),
  });
  const client = new Client({ baseUrl: base });
  await assert.rejects(client.users.me(), (error) => error instanceof ProblemError && error.code === "forbidden" && error.requestId === "r1");
  await assert.rejects(client.feed.unread(), (error) => error instanceof ProblemError && error.status === 500);
  await assert.rejects(new Client({ baseUrl: "http://127.0.0.1:1", retries: 0 }).users.me(), NetworkError);
});

test("a POST that creates has a key, and is repeated with the same one", async (t) => {
  let tries = 0;
  const { base, requests } = await serve(t, {
    "POST /v1/posts": (response) => {
      tries += 1;
      if (tries === 1) return response.destroy();
      if (tries === 2) return problem(response, 503, "overloaded", { "retry-after": "0" });
      return json(response, { id: "1" }, 201);
    },
    "POST /v1/sessions": (response) => response.destroy(),
  });
  const client = new Client({ baseUrl: base });
  assert.equal((await client.posts.create({ text: "x" })).id, "1");
  const keys = new Set(requests.map((request) => request.headers["idempotency-key"]));
  assert.deepEqual([requests.length, keys.size], [3, 1]);
  await assert.rejects(client.accounts.logIn("a", "b"), NetworkError);
  assert.equal(requests.length, 4);
});

test("a Retry-After that is too long is the caller's to wait for", async (t) => {
  const { base, requests } = await serve(t, { "GET /v1/users/me": (response) => problem(response, 429, "rate_limited", { "retry-after": "60" }) });
  await assert.rejects(new Client({ baseUrl: base }).users.me(), (error) => error.retryAfterMs === 60_000);
  assert.equal(requests.length, 1);
});

test("a refused token is renewed once for all requests that it failed", async (t) => {
  const { base } = await serve(t, {
    "GET /v1/users/me": (response, request) =>
      request.headers.authorization === "Bearer new" ? json(response, { id: "1" }) : problem(response, 401, "unauthenticated"),
  });
  const renewed = [];
  const client = new Client({ baseUrl: base, token: "old", renewToken: async (refused) => (renewed.push(refused), "new") });
  const answers = await Promise.all([client.users.me(), client.users.me(), client.users.me()]);
  assert.deepEqual([answers.map((user) => user.id), renewed], [["1", "1", "1"], ["old"]]);
  const stubborn = new Client({ baseUrl: base, token: "old", renewToken: () => "older" });
  await assert.rejects(stubborn.users.me(), (error) => error.code === "unauthenticated");
});

test("lists are read page by page, and no page before it is needed", async (t) => {
  const { base, requests } = await serve(t, {
    "GET /v1/feed": (response, { query }) => {
      const at = Number(query.cursor ?? 0);
      json(response, { items: [{ id: String(at) }, { id: String(at + 1) }], next_cursor: at < 4 ? String(at + 2) : null });
    },
  });
  const client = new Client({ baseUrl: base });
  assert.equal((await client.feed.read({ limit: 2 })).items.length, 2);
  assert.deepEqual((await client.feed.read().take(3)).map((post) => post.id), ["0", "1", "2"]);
  assert.equal(requests.length, 3);
  const all = [];
  for await (const post of client.feed.read()) all.push(post.id);
  assert.deepEqual(all, ["0", "1", "2", "3", "4", "5"]);
});

test("a stream opens with its hello, brings frames and says when it ends", async (t) => {
  let stream;
  const { base, requests } = await serve(t, {
    "GET /v1/realtime/sse": (response) => {
      stream = response.writeHead(200, { "content-type": "text/event-stream" });
      stream.write(`id: c0\ndata: ${JSON.stringify(hello("sse"))}\n\n`);
    },
    "POST /v1/realtime/send": (response, { body }) => json(response, { replies: JSON.parse(body).frames.map(({ ref }) => ({ type: "reply", ref, ok: true })) }),
  });
  const { link, said } = open(base, "sse", { cursor: "c9" });
  await until(() => said.opened === 1, "hello");
  assert.deepEqual([requests[0].query, requests[0].headers.authorization], [{ v: "1", knows: "author.deleted", cursor: "c9" }, "Bearer t1"]);
  link.send([{ ref: 4, type: "ping" }]);
  await until(() => said.frames.length === 2, "the reply");
  assert.equal(said.frames[1].ref, 4);
  assert.equal(requests[1].query.session_id, "7");
  const before = said.alive;
  stream.write(": hb\n\n");
  await until(() => said.alive > before, "the heartbeat");
  stream.end(`data: ${JSON.stringify(posts("c1", 5))}\n\n`);
  await until(() => said.ends.length === 1, "the end");
  assert.deepEqual([said.frames[2].type, said.ends[0].why], ["feed.posts", "lost"]);
});

test("answers that are no stream say why", async (t) => {
  const { base } = await serve(t, {});
  assert.equal((await ended(open(base, "sse").said)).why, "refused");
  assert.equal((await ended(open("http://127.0.0.1:1", "sse").said)).why, "unreachable");
  for (const [status, why, code] of [[401, "lost", 4401], [403, "lost", 4403], [429, "busy", 4429], [503, "busy", null]]) {
    const refusing = await serve(t, { "GET /v1/realtime/sse": (response) => problem(response, status, "x", { "retry-after": "7" }) });
    const end = await ended(open(refusing.base, "sse").said);
    assert.deepEqual([end.why, end.code], [why, code], `${status}`);
  }
  const page = await serve(t, { "GET /v1/realtime/sse": (response) => response.writeHead(200, { "content-type": "text/html" }).end("log in to this hotel") });
  assert.equal((await ended(open(page.base, "sse").said)).why, "refused");
  const gateway = await serve(t, { "GET /v1/realtime/sse": (response) => response.writeHead(502).end() });
  assert.equal((await ended(open(gateway.base, "sse").said)).why, "unreachable");
});

async function ended(said) {
  await until(() => said.ends.length === 1, "the end");
  return said.ends[0];
}

test("a long poll asks at once, then waits, and goes on from each answer's cursor", async (t) => {
  const waiting = [];
  const { base, requests } = await serve(t, {
    "GET /v1/realtime/poll": (response, { query }) => {
      if (query.wait === "0") return json(response, { events: [hello("long_poll")], cursor: "c1" });
      waiting.push(response);
    },
  });
  const { link, said } = open(base, "long_poll");
  await until(() => waiting.length === 1, "a waiting poll");
  assert.equal(said.opened, 1);
  json(waiting[0], { events: [posts("c2", 5)], cursor: "c2" });
  await until(() => waiting.length === 2, "the next poll");
  assert.ok(requests.every(({ query }) => query.knows === "author.deleted"));
  assert.deepEqual(requests.map(({ query }) => [query.cursor, query.wait]), [[undefined, "0"], ["c1", "25"], ["c2", "25"]]);
  assert.deepEqual(said.cursors, ["c1", "c2"]);
  // A probe does not wait.
  link.probe();
  await until(() => requests.length >= 4, "the probe");
  assert.equal(requests[3].query.wait, "0");
  link.close();
  assert.equal(said.ends.length, 0);
});

test("a gateway that gives waiting polls up makes them shorter, and then useless", async (t) => {
  const { base, requests } = await serve(t, {
    "GET /v1/realtime/poll": (response, { query }) =>
      query.wait === "0" ? json(response, { events: [], cursor: "c1" }) : response.writeHead(504).end(),
  });
  const { said } = open(base, "long_poll", { cursor: "c0" });
  const end = await ended(said);
  assert.deepEqual(requests.map(({ query }) => query.wait), ["0", "25", "12", "6"]);
  assert.equal(end.why, "lost");
});

test("short polls come at their pace", async (t) => {
  const { base, requests } = await serve(t, { "GET /v1/realtime/poll": (response) => json(response, { events: [], cursor: "c1" }) });
  const { link } = open(base, "short_poll", { times: { shortPollMs: 40 } });
  await until(() => requests.length >= 4, "polls");
  link.close();
  assert.ok(requests.every(({ query }) => query.wait === "0"));
});

/** A WebSocket that the test plays the server of. */
class FakeSocket {
  static all = [];
  readyState = 0;
  sent = [];
  constructor(url) {
    this.url = new URL(url);
    FakeSocket.all.push(this);
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.readyState = 3;
  }
  hear(frame) {
    this.readyState = 1;
    this.onmessage({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
  }
}

test("a socket gets in by a ticket, and what its end means depends on when and how", async (t) => {
  let tickets = 0;
  const { base } = await serve(t, {
    "POST /v1/realtime/tickets": (response) => json(response, { ticket: `k${(tickets += 1)}`, expires_at: "x" }, 201),
  });
  const dial = async () => {
    const before = FakeSocket.all.length;
    const opened = open(base, "websocket", { WebSocket: FakeSocket, cursor: "c5" });
    await until(() => FakeSocket.all.length > before, "a socket");
    return { ...opened, socket: FakeSocket.all.at(-1) };
  };
  const first = await dial();
  assert.equal(first.socket.url.protocol, "ws:");
  assert.deepEqual(Object.fromEntries(first.socket.url.searchParams), { v: "1", knows: "author.deleted", ticket: "k1", cursor: "c5" });
  first.socket.onclose({ code: 1006, reason: "" });
  assert.equal(first.said.ends[0].why, "refused");
  const second = await dial();
  second.socket.hear("{");
  second.socket.hear(hello("websocket"));
  assert.deepEqual([second.said.opened, second.said.alive], [1, 2]);
  second.link.probe();
  assert.equal(second.socket.sent[0].type, "ping");
  second.socket.onclose({ code: 4401, reason: "logged out" });
  assert.deepEqual([second.said.ends[0].why, second.said.ends[0].code], ["lost", 4401]);
  assert.notEqual(second.socket.url.searchParams.get("ticket"), "k1");
});

test("without a ticket there is no socket: the reason is the request's", async (t) => {
  const { base } = await serve(t, { "POST /v1/realtime/tickets": (response) => problem(response, 401, "unauthenticated") });
  assert.equal((await ended(open(base, "websocket", { WebSocket: FakeSocket }).said)).code, 4401);
  assert.equal((await ended(open("http://127.0.0.1:1", "websocket", { WebSocket: FakeSocket }).said)).why, "unreachable");
});
