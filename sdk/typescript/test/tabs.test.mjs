// Several tabs of one browser, played with locks and channels that the test holds.
import assert from "node:assert/strict";
import test from "node:test";
import { Client } from "../dist/index.js";
import { Realtime } from "../dist/realtime/realtime.js";
import { FakeBrowser } from "./fake-browser.mjs";
import { FakeClock, FakeDial, posts, settle } from "./fakes.mjs";

function world() {
  const clock = new FakeClock();
  const browser = new FakeBrowser();
  const net = new FakeDial();
  const open = async (options = {}) => {
    const client = new Client({ baseUrl: "http://fanfare.test", token: "t", clock });
    const realtime = new Realtime(client, options, { dial: net.dial, tabs: browser.platform() });
    const heard = [];
    realtime.on("feed.posts", (data) => heard.push(...data.items.map((post) => post.id)));
    realtime.start();
    await settle();
    return { realtime, heard };
  };
  return { clock, browser, net, open };
}

test("many tabs share one connection and all hear everything once", async () => {
  const { net, open } = world();
  const first = await open();
  net.last.open();
  const [second, third] = [await open(), await open()];
  net.last.sink.frame(posts("c1", 2, 1));
  net.last.sink.frame(posts("c2", 3, 2));
  await settle();
  assert.equal(net.links.length, 1);
  for (const tab of [first, second, third]) {
    assert.deepEqual(tab.heard, ["2", "1", "3"]);
    assert.deepEqual([tab.realtime.state.status, tab.realtime.transport], ["open", "websocket"]);
  }
  assert.deepEqual([first, second, third].map((tab) => tab.realtime.leading), [true, false, false]);
});

test("when the leader goes the next tab goes on from the same cursor, without a loss or a double", async () => {
  const { net, open } = world();
  const first = await open();
  net.last.open();
  const second = await open();
  net.last.sink.frame(posts("c1", 1));
  await settle();
  first.realtime.stop();
  await settle();
  assert.equal(second.realtime.leading, true);
  assert.deepEqual([net.links.length, net.last.cursor], [2, "c1"]);
  net.last.open();
  net.last.sink.frame(posts("c2", 2, 1));
  assert.deepEqual(second.heard, ["1", "2"]);
  assert.equal(first.realtime.state.status, "idle");
});

test("a follower's frames go through the leader, also when the leader changes before it answered", async () => {
  const { net, open } = world();
  const first = await open();
  net.last.open();
  const second = await open();
  const answered = second.realtime.send("ping");
  await settle();
  assert.equal(net.last.sent.length, 1);
  net.last.sink.frame({ type: "reply", ref: net.last.sent[0].ref, ok: true, data: 1 });
  assert.equal(await answered, 1);
  const pending = second.realtime.send("feed.read", { last_read_id: "1" });
  await settle();
  first.realtime.stop();
  await settle();
  net.last.open();
  const sent = net.last.sent.find((frame) => frame.type === "feed.read");
  net.last.sink.frame({ type: "reply", ref: sent.ref, ok: true, data: 2 });
  assert.equal(await pending, 2);
});

test("a refusal keeps its problem on the way to a follower", async () => {
  const { net, open } = world();
  await open();
  net.last.open();
  const second = await open();
  const refused = assert.rejects(second.realtime.send("x"), (error) => error.code === "not_found");
  await settle();
  const error = { type: "t", title: "x", status: 404, detail: "y", code: "not_found" };
  net.last.sink.frame({ type: "reply", ref: net.last.sent[0].ref, ok: false, error });
  await refused;
});

test("everybody's watched people are watched, until their tab goes", async () => {
  const { net, open } = world();
  const first = await open();
  net.last.open();
  const second = await open();
  first.realtime.watchPresence(["1"]);
  second.realtime.watchPresence(["2"]);
  await settle();
  const watched = () => net.last.sent.filter((frame) => frame.type === "presence.watch").at(-1).data.user_ids;
  assert.deepEqual(watched(), ["1", "2"]);
  second.realtime.stop();
  await settle();
  assert.deepEqual(watched(), ["1"]);
});

test("a frozen leader loses the lead to a tab that is looked at, and follows when it thaws", async () => {
  const { clock, browser, net, open } = world();
  const first = await open();
  net.last.open();
  const second = await open();
  // Frozen: it holds its lock, and its channel hears nothing.
  const frozen = [...browser.channels][0];
  const hear = frozen.onmessage;
  frozen.onmessage = null;
  await clock.pass(36_000);
  assert.equal(second.realtime.leading, true);
  assert.equal(net.links.length, 2);
  frozen.onmessage = hear;
  net.last.open();
  net.last.sink.frame(posts("c1", 1));
  await settle();
  assert.equal(first.realtime.leading, false);
  assert.ok(net.links[0].closed);
  assert.deepEqual([first.heard, second.heard], [["1"], ["1"]]);
});

test("a leader that answers keeps the lead for hours", async () => {
  const { clock, net, open } = world();
  const first = await open();
  net.last.open();
  const second = await open();
  for (let minute = 0; minute < 180; minute += 1) {
    net.last.sink.alive();
    await clock.pass(20_000);
  }
  assert.deepEqual([first.realtime.leading, second.realtime.leading, net.links.length], [true, false, 1]);
});

test("other people's tabs, and tabs that do not share, have connections of their own", async () => {
  const { net, open } = world();
  await open();
  await open({ tabs: false });
  await open({ tabs: "somebody else" });
  assert.equal(net.links.length, 3);
});

test("a listener that throws disturbs nobody", async () => {
  const { net, open } = world();
  const failures = [];
  const tab = await open({ onListenerError: (error) => failures.push(error.message) });
  tab.realtime.onAny(() => {
    throw new Error("mine");
  });
  net.last.open();
  net.last.sink.frame(posts("c1", 1));
  assert.deepEqual([tab.heard, failures], [["1"], ["mine", "mine"]]);
});
