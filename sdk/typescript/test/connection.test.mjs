// The connection with links and time that the test moves: watchdogs, fallback, climbing, drains, close codes.
import assert from "node:assert/strict";
import test from "node:test";
import { Connection } from "../dist/realtime/connection.js";
import { TIMES } from "../dist/realtime/options.js";
import { FakeClock, FakeDial, hello, posts } from "./fakes.mjs";

const ALL = ["websocket", "sse", "long_poll", "short_poll"];

function start(options = {}) {
  const clock = new FakeClock();
  const net = new FakeDial();
  const frames = [];
  const states = [];
  const connection = new Connection({
    dial: net.dial,
    clock,
    times: TIMES,
    transports: ALL,
    cursor: null,
    first: null,
    frame: (frame) => frames.push(frame),
    state: (state) => states.push(state.status),
    ...options,
  });
  connection.start();
  return { clock, net, frames, states, connection };
}

test("a session opens, its frames arrive, its cursor is kept", async () => {
  const { net, frames, states, connection } = start();
  net.last.open();
  assert.equal(connection.cursor, "c-hello");
  net.last.sink.frame(posts("c1", 5));
  assert.equal(connection.cursor, "c1");
  assert.deepEqual(frames.map((frame) => frame.type), ["hello", "feed.posts"]);
  assert.deepEqual(states, ["connecting", "open"]);
});

test("a transport without a first frame in ten seconds gives way, down to short polls", async () => {
  const { clock, net, connection } = start();
  await clock.pass(9_999);
  assert.deepEqual(net.tried, ["websocket"]);
  await clock.pass(2);
  assert.deepEqual(net.tried, ["websocket", "sse"]);
  assert.ok(net.links[0].closed);
  await clock.pass(10_001);
  await clock.pass(10_001);
  assert.deepEqual(net.tried, ALL);
  net.last.open();
  assert.deepEqual([connection.state.status, connection.state.transport], ["open", "short_poll"]);
});

test("bytes that are no frame do not count as a first frame", async () => {
  const { clock, net } = start();
  net.last.sink.alive();
  await clock.pass(10_001);
  assert.deepEqual(net.tried, ["websocket", "sse"]);
});

test("silence is asked about after a heartbeat and changes the transport after one and a half", async () => {
  const { clock, net, connection } = start();
  net.last.open();
  const [link] = net.links;
  await clock.pass(30_001);
  assert.equal(link.probes, 1);
  link.sink.alive();
  await clock.pass(29_000);
  assert.equal(link.probes, 1);
  await clock.pass(1_001);
  assert.equal(link.probes, 2);
  await clock.pass(15_001);
  assert.ok(link.closed);
  assert.deepEqual(net.tried, ["websocket", "sse"]);
  assert.equal(net.last.cursor, "c-hello");
  net.last.open();
  assert.equal(connection.state.transport, "sse");
});

test("the heartbeat is the one of the hello", async () => {
  const { clock, net } = start();
  net.last.open({ heartbeat_s: 2 });
  await clock.pass(3_100);
  assert.ok(net.links[0].closed);
});

test("a machine that slept asks for a sign of life, and comes back on the same transport", async () => {
  const { clock, net } = start();
  net.last.open();
  await clock.sleep(3_600_000);
  assert.equal(net.links[0].probes, 1);
  assert.equal(net.links[0].closed, false);
  await clock.pass(5_001);
  assert.ok(net.links[0].closed);
  await clock.pass(1_000);
  assert.deepEqual(net.tried, ["websocket", "websocket"]);
  assert.equal(net.last.cursor, "c-hello");
});

test("a probe that is answered leaves the link alone", async () => {
  const { clock, net, connection } = start();
  net.last.open();
  connection.wake();
  net.last.sink.alive();
  await clock.pass(20_000);
  assert.equal(net.last.closed, false);
});

test("a stream that cannot ask is opened a second time beside itself, and replaced without a break", async () => {
  const { clock, net, frames, connection } = start({ transports: ["sse", "long_poll"] });
  net.last.open();
  connection.wake();
  assert.deepEqual(net.tried, ["sse", "sse"]);
  net.links[0].sink.frame(posts("c1", 5));
  net.links[1].open();
  assert.ok(net.links[0].closed && !net.links[1].closed);
  net.links[0].sink.frame(posts("c2", 6));
  assert.equal(frames.filter((frame) => frame.type === "feed.posts").length, 1);
  await clock.pass(10_000);
  assert.equal(connection.state.status, "open");
});

test("a stream that does not come up beside itself was dead", async () => {
  const { clock, net, connection } = start({ transports: ["sse", "long_poll"] });
  net.last.open();
  connection.wake();
  await clock.pass(5_001);
  assert.ok(net.links[0].closed && net.links[1].closed);
  await clock.pass(1_000);
  assert.equal(net.last.transport, "sse");
});

test("a lesser transport climbs back up beside itself, resumes, and loses nothing in between", async () => {
  const { clock, net, connection } = start();
  net.last.end("refused");
  await clock.pass(0);
  net.last.open();
  assert.equal(connection.state.transport, "sse");
  net.last.sink.frame(posts("c1", 5));
  await clock.pass(23_000);
  assert.deepEqual(net.tried, ["websocket", "sse", "websocket"]);
  assert.equal(net.last.cursor, "c1");
  assert.equal(net.links[1].closed, false);
  net.last.open();
  assert.ok(net.links[1].closed);
  assert.deepEqual([connection.state.status, connection.state.transport], ["open", "websocket"]);
  await clock.pass(20_000);
  assert.equal(net.links.length, 3);
});

test("climbs that fail come ever more rarely and leave the session alone", async () => {
  const { clock, net, connection } = start();
  net.last.end("refused");
  await clock.pass(0);
  const session = net.last;
  session.open();
  const times = [];
  for (let climb = 0; climb < 4; climb += 1) {
    const before = net.links.length;
    const from = clock.now();
    while (net.links.length === before) {
      session.sink.alive();
      await clock.pass(500);
    }
    times.push(clock.now() - from);
    net.last.end("refused");
  }
  assert.ok(times.every((time, at) => at === 0 || time > times[at - 1] * 1.5), `${times}`);
  assert.equal(connection.state.transport, "sse");
  assert.equal(session.closed, false);
});

test("of several better transports the best one that comes up takes over", async () => {
  const { clock, net, connection } = start({ first: "short_poll" });
  net.last.open();
  await clock.pass(23_000);
  assert.equal(net.last.transport, "websocket");
  net.last.end("refused");
  assert.equal(net.last.transport, "sse");
  await clock.pass(10_001);
  assert.equal(net.last.transport, "long_poll");
  net.last.open();
  assert.equal(connection.state.transport, "long_poll");
  assert.ok(net.links.slice(0, -1).every((link) => link.closed));
});

test("a drain is stayed with, and then left for whoever is there, at the time that it names", async () => {
  const { clock, net, connection } = start();
  net.last.open();
  net.last.sink.frame(posts("c1", 5));
  net.last.sink.frame({ type: "drain", at: "x", data: { reconnect_after_ms: 4_000 } });
  net.last.sink.frame(posts("c2", 6));
  net.last.end("lost", 1001);
  connection.wake();
  await clock.pass(3_990);
  assert.equal(net.links.length, 1);
  await clock.pass(20);
  assert.equal(net.links.length, 2);
  assert.equal(net.last.cursor, "c2");
  assert.equal(net.last.transport, "websocket");
});

test("a lost session comes back within the first pause, with its cursor", async () => {
  const { clock, net } = start();
  net.last.open();
  net.last.sink.frame(posts("c9", 9));
  await clock.pass(20_000);
  net.last.end("lost", 1006);
  await clock.pass(TIMES.backoffMs);
  assert.deepEqual([net.last.transport, net.last.cursor, net.links.length], ["websocket", "c9", 2]);
});

test("what the server understood as nonsense, or forbids, ends it for good", async () => {
  for (const code of [4400, 4403]) {
    const { clock, net, connection } = start();
    net.last.open();
    net.last.end("lost", code);
    assert.equal(connection.state.status, "stopped");
    assert.equal(connection.state.error.code, code);
    await clock.pass(1e6);
    assert.equal(net.links.length, 1);
    assert.equal(clock.waiting, 0);
  }
});

test("a refused token is tried once more with a fresh ticket, then it is over", async () => {
  const { clock, net, connection } = start();
  net.last.open();
  net.last.end("lost", 4401);
  await clock.pass(2_000);
  assert.equal(net.links.length, 2);
  net.last.end("lost", 4401);
  assert.deepEqual([connection.state.status, connection.state.error.code], ["stopped", 4401]);
});

test("too many connections is answered with long patience that grows", async () => {
  const { clock, net, connection } = start();
  net.last.end("lost", 4429);
  const first = connection.state.retryAt - clock.now();
  assert.ok(first >= TIMES.tooManyMs / 2, `${first}`);
  connection.wake();
  assert.equal(net.links.length, 1);
  await clock.pass(first + 1);
  net.last.end("lost", 4429);
  assert.ok(connection.state.retryAt - clock.now() > first);
});

test("a busy server is left alone for as long as it says", async () => {
  const { clock, net } = start();
  net.last.end("busy", null, 7_000);
  await clock.pass(6_999);
  assert.equal(net.links.length, 1);
  await clock.pass(2_000);
  assert.equal(net.links.length, 2);
});

test("without a network it waits, and comes back as soon as there is one", async () => {
  const { clock, net, connection } = start();
  connection.offline();
  assert.equal(connection.state.status, "offline");
  await clock.pass(20_000);
  assert.equal(net.links.length, 1);
  connection.online();
  assert.equal(net.links.length, 2);
  net.last.open();
  assert.equal(connection.state.status, "open");
});

test("what an open link brings while the browser says offline still counts", async () => {
  const { net, frames, connection } = start();
  net.last.open();
  connection.offline();
  net.last.sink.frame(posts("c1", 5));
  assert.deepEqual([connection.state.status, frames.length], ["open", 2]);
});

test("frames without a reply are sent again on the next link, and settled once", async () => {
  const { clock, net, connection } = start();
  const early = connection.send("ping");
  net.last.open();
  assert.deepEqual(net.last.sent, [{ ref: 1, type: "ping" }]);
  const late = connection.send("feed.read", { last_read_id: "5" });
  net.last.sink.frame({ type: "reply", ref: 1, ok: true, data: { a: 1 } });
  assert.deepEqual(await early, { a: 1 });
  net.last.end("lost", 1006);
  await clock.pass(TIMES.backoffMs);
  net.last.open();
  assert.deepEqual(net.last.sent, [{ ref: 2, type: "feed.read", data: { last_read_id: "5" } }]);
  const problem = { type: "/docs/problems#not_found", title: "x", status: 404, detail: "y", code: "not_found" };
  net.last.sink.frame({ type: "reply", ref: 2, ok: false, error: problem });
  await assert.rejects(late, (error) => error.code === "not_found");
});

test("a frame that came at a bad moment is sent again a little later", async () => {
  const { clock, net, connection } = start();
  net.last.open();
  const reply = connection.send("ping");
  net.last.sink.frame({ type: "reply", ref: 1, ok: false, error: { code: "rate_limited", status: 429, title: "x" } });
  await clock.pass(2_000);
  assert.equal(net.last.sent.length, 2);
  net.last.sink.frame({ type: "reply", ref: 1, ok: true });
  assert.equal(await reply, undefined);
});

test("a frame that is never answered is given up", async () => {
  const { clock, connection } = start();
  const reply = connection.send("ping").catch((error) => error.message);
  await clock.pass(30_001);
  assert.match(await reply, /no reply/);
});

test("an event that two links bring is heard once, two equal ones of the same link twice", async () => {
  const { net, frames, connection } = start({ transports: ["sse"] });
  const sale = { type: "shop.sale", at: "2026-01-01T00:00:01.000Z", data: { off: 7 } };
  net.last.open();
  connection.wake();
  net.links[0].sink.frame(sale);
  net.links[0].sink.frame(sale);
  net.links[1].open();
  net.links[1].sink.frame(sale);
  assert.equal(frames.filter((frame) => frame.type === "shop.sale").length, 2);
});

test("after a stop nothing is left: no link, no timer, no frame", async () => {
  const { clock, net, frames, connection } = start();
  net.last.open();
  const reply = connection.send("ping").catch((error) => error.code);
  connection.stop();
  net.last.sink.frame(hello("websocket"));
  assert.deepEqual([net.last.closed, clock.waiting, frames.length, await reply], [true, 0, 1, 1000]);
  assert.equal(connection.state.status, "idle");
});
