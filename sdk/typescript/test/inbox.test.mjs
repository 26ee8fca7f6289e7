// The inbox: once, in order, whole after gaps and resets.
import assert from "node:assert/strict";
import test from "node:test";
import { Inbox, HELD_MAX } from "../dist/realtime/inbox.js";
import { PresenceWatch } from "../dist/realtime/presence.js";
import { PlaceKeeper } from "../dist/realtime/place.js";
import { Seen } from "../dist/realtime/seen.js";
import { FakeClock, notification, posts, settle } from "./fakes.mjs";

function start(options = {}) {
  const clock = new FakeClock();
  const events = [];
  const commits = [];
  const asked = [];
  const waiting = [];
  const inbox = new Inbox({
    clock,
    recover: true,
    out: { seen: new Seen(), newest: {} },
    fetch: (...range) => {
      asked.push(range);
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    },
    emit: (info, data) => events.push({ ...info, data }),
    commit: (cursor) => commits.push(cursor),
    ...options,
  });
  /** Posts that the application saw, in order. */
  const seen = () => events.flatMap((event) => (event.type === "feed.posts" ? event.data.items.map((post) => post.id) : [event.type]));
  return { clock, inbox, events, commits, asked, waiting, seen };
}

const gap = (cursor, after, before, stream = "posts") => ({ id: cursor, type: "gap", data: { stream, after, before, count: 2 } });
const reset = (cursor, ...streams) => ({ id: cursor, type: "reset", data: { streams, reason: "expired" } });
const found = (...ids) => ({ posts: ids.map((id) => ({ id, key: id })), notifications: [], complete: true });

test("what comes twice is handed out once", () => {
  const { inbox, events, commits } = start();
  inbox.take(posts("c1", 2, 1));
  inbox.take(posts("c2", 3, 2));
  inbox.take(posts("c3", 3, 1));
  inbox.take(notification("c4", 3));
  inbox.take(notification("c5", 3));
  assert.deepEqual(events.map((event) => event.data.items?.map((post) => post.id) ?? event.data.id), [["2", "1"], ["3"], "3"]);
  assert.deepEqual(commits, ["c1", "c2", "c3", "c4", "c5"]);
});

test("a gap is read over HTTP before what came after it is handed out; other streams go on", async () => {
  const { inbox, events, commits, asked, waiting, seen } = start();
  inbox.take(posts("c1", 1));
  inbox.take(gap("c2", "1", "5"));
  inbox.take(posts("c3", 6, 5));
  inbox.take(notification("c4", 50));
  inbox.take({ type: "shop.sale", data: null });
  assert.deepEqual(seen(), ["1", "gap", "notification", "shop.sale"]);
  assert.deepEqual([asked, commits], [[["posts", "1", "5"]], ["c1"]]);
  waiting[0].resolve(found("4", "3", "1"));
  await settle();
  assert.deepEqual(seen(), ["1", "gap", "notification", "shop.sale", "4", "3", "6", "5"]);
  assert.deepEqual(commits, ["c1", "c4"]);
  assert.deepEqual(events.filter((event) => event.recovered).map((event) => event.type), ["feed.posts"]);
});

test("a gap behind a gap waits its turn", async () => {
  const { inbox, asked, waiting, seen } = start();
  inbox.take(gap("c1", "1", "3"));
  inbox.take(posts("c2", 3));
  inbox.take(gap("c3", "3", "5"));
  inbox.take(posts("c4", 5));
  waiting[0].resolve(found("2"));
  await settle();
  assert.deepEqual(seen(), ["gap", "2", "3", "gap"]);
  waiting[1].resolve(found("4"));
  await settle();
  assert.deepEqual(seen(), ["gap", "2", "3", "gap", "4", "5"]);
  assert.deepEqual(asked, [["posts", "1", "3"], ["posts", "3", "5"]]);
});

test("after a reset the streams are read from the newest item on, if there is one", async () => {
  const { inbox, events, asked, waiting, seen } = start();
  inbox.take(reset("c0", "posts", "notifications"));
  assert.deepEqual(asked, []);
  assert.equal(events[0].data.recovering, false);
  inbox.take(posts("c1", 7));
  inbox.take(reset("c2", "posts", "notifications"));
  assert.equal(events.at(-1).data.recovering, true);
  assert.deepEqual(asked, [["posts", "7", null]]);
  waiting[0].resolve(found("9", "8"));
  await settle();
  assert.deepEqual(seen(), ["reset", "7", "reset", "9", "8"]);
});

test("what cannot be read, or is too much, ends in a reset that says so, and nothing stays stuck", async () => {
  const { clock, inbox, events, waiting, seen } = start();
  inbox.take(gap("c1", "1", "3"));
  inbox.take(posts("c2", 3));
  for (let turn = 0; turn < 4; turn += 1) {
    waiting[turn].reject(new Error("no network"));
    await clock.pass(10_000);
  }
  assert.deepEqual(seen(), ["gap", "reset", "3"]);
  assert.deepEqual(events[1].data, { streams: ["posts"], reason: "incomplete", recovering: false });
  inbox.take(gap("c3", "3", "9"));
  waiting[4].resolve({ ...found("8"), complete: false });
  await settle();
  assert.deepEqual(seen().slice(3), ["gap", "8", "reset"]);
});

test("a stream that waits too long does not fill the memory", () => {
  const { inbox, events } = start();
  inbox.take(gap("c1", "1", "3"));
  for (let id = 3; id <= HELD_MAX + 3; id += 1) inbox.take(posts("c", id));
  assert.deepEqual(events.map((event) => event.type), ["gap", "reset"]);
  assert.equal(events[1].data.reason, "overflow");
});

test("who reads for themselves gets gaps and resets as they come", () => {
  const { inbox, asked, seen, commits } = start({ recover: false });
  inbox.take(gap("c1", "1", "3"));
  inbox.take(posts("c2", 3));
  inbox.take(reset("c3", "posts"));
  assert.deepEqual([seen(), asked, commits], [["gap", "3", "reset"], [], ["c1", "c2", "c3"]]);
});

test("watched people are told to every session, and what changed meanwhile is found", async () => {
  const clock = new FakeClock();
  const sent = [];
  const changed = [];
  let online = false;
  const watch = new PresenceWatch({
    clock,
    send: async (data) => {
      sent.push(data.user_ids);
      return { items: data.user_ids.map((user_id) => ({ user_id, online })) };
    },
    changed: (presence) => changed.push([presence.user_id, presence.online]),
  });
  watch.watch(["1", "1"]);
  watch.opened(true);
  await settle();
  watch.lost();
  online = true;
  watch.opened(true);
  await settle();
  assert.deepEqual([sent, changed], [[["1"], ["1"]], [["1", false], ["1", true]]]);
  assert.equal(watch.take({ user_id: "1", online: true }), false);
  // Polls bring no transitions: it looks by itself.
  watch.lost();
  watch.opened(false);
  online = false;
  await clock.pass(30_001);
  assert.deepEqual(changed.at(-1), ["1", false]);
  watch.lost();
  assert.equal(clock.waiting, 0);
});

test("the place survives a reload, and a broken storage disturbs nobody", async () => {
  const clock = new FakeClock();
  const values = new Map();
  const storage = { getItem: (key) => values.get(key) ?? null, setItem: (key, value) => values.set(key, value), removeItem: (key) => values.delete(key) };
  const keeper = new PlaceKeeper(storage, "k", clock);
  assert.equal(keeper.load().cursor, null);
  const place = { cursor: "c1", keys: ["p1"], newest: { posts: "1" }, transport: "sse" };
  for (let turn = 0; turn < 50; turn += 1) keeper.save(() => place);
  assert.equal(clock.waiting, 1);
  await clock.pass(1_001);
  assert.equal(new PlaceKeeper(storage, "k", clock).load().cursor, "c1");
  await clock.pass(4_000_000);
  assert.deepEqual([keeper.load().cursor, keeper.load().transport], ["c1", null]);
  values.set("k", "{");
  assert.equal(keeper.load().cursor, null);
  const broken = new PlaceKeeper({ getItem: () => { throw new Error("no"); }, setItem: () => { throw new Error("full"); }, removeItem: () => {} }, "k", clock);
  assert.equal(broken.load().cursor, null);
  broken.save(() => place);
  broken.flush();
});
