// The parts that are values in, values out: the ladder, the stream parser, the memory of keys, what is new.
import assert from "node:assert/strict";
import test from "node:test";
import { retryAfter } from "../dist/errors.js";
import { isDropped } from "../dist/realtime/dropped.js";
import { newer, parseFrame, streamsOf } from "../dist/realtime/frames.js";
import { fresh } from "../dist/realtime/fresh.js";
import * as steps from "../dist/realtime/ladder.js";
import { Seen } from "../dist/realtime/seen.js";
import { SseParser } from "../dist/realtime/sse.js";
import { seeded } from "./fakes.mjs";

const ALL = ["websocket", "sse", "long_poll", "short_poll"];

test("a refused transport gives way to the next one at once, and the lowest to the highest after a pause", () => {
  let state = steps.ladder(ALL);
  let pause;
  for (const next of ["sse", "long_poll", "short_poll"]) {
    [state, pause] = steps.failed(state, "refused", 0, 0.5);
    assert.deepEqual([steps.current(state), pause], [next, 0]);
  }
  [state, pause] = steps.failed(state, "silent", 0, 0.5);
  assert.equal(steps.current(state), "websocket");
  assert.ok(pause > 0);
});

test("an outage is no reason to go down, a stream that never gets an answer is", () => {
  let state = steps.ladder(ALL);
  for (let turn = 0; turn < 50; turn += 1) {
    const [next, pause] = steps.failed(state, "unreachable", 0, 0.5);
    state = next;
    assert.ok(steps.current(state) === "websocket" && pause > 0);
  }
  state = { ...state, rung: 1 };
  for (let turn = 1; turn < steps.PACE.strikesMax; turn += 1) [state] = steps.failed(state, "unreachable", 0, 0.5);
  assert.equal(steps.current(state), "sse");
  [state] = steps.failed(state, "unreachable", 0, 0.5);
  assert.equal(steps.current(state), "long_poll");
});

test("a session that lived long and broke off comes back on its transport, soon; a silent one goes down", () => {
  const failing = { ...steps.ladder(ALL), failures: 9, strikes: 2 };
  const open = steps.opened(failing, 0);
  const [lost, pause] = steps.failed(open, "lost", steps.PACE.stableMs, 0.5);
  assert.equal(steps.current(lost), "websocket");
  assert.ok(pause <= steps.PACE.backoffMs);
  const [mute, none] = steps.failed(open, "mute", 1e6, 0.5);
  assert.deepEqual([steps.current(mute), none], ["sse", 0]);
});

test("a transport whose sessions die young gives way", () => {
  let state = steps.ladder(ALL);
  for (let life = 0; life < steps.PACE.strikesMax; life += 1) {
    assert.equal(steps.current(state), "websocket");
    [state] = steps.failed(steps.opened(state, 0), "lost", 100, 0.5);
  }
  assert.equal(steps.current(state), "sse");
});

test("pauses grow, have jitter, and stay within their bounds whatever happens", () => {
  const random = seeded(7);
  for (let failures = 0; failures < 5_000; failures += 1) {
    const pause = steps.backoff(failures, random());
    assert.ok(pause >= 0 && pause <= steps.PACE.backoffMaxMs, `${failures}: ${pause}`);
    if (failures > 10) assert.ok(pause >= steps.PACE.backoffMaxMs / 2);
  }
  assert.notEqual(steps.backoff(3, 0.1), steps.backoff(3, 0.9));
});

test("better transports are tried at growing intervals, and a new network starts them over", () => {
  let state = { ...steps.ladder(ALL), rung: 2 };
  assert.deepEqual(steps.better(state), ["websocket", "sse"]);
  let before = 0;
  for (let climb = 0; climb < 5; climb += 1) {
    const delay = steps.climbDelay(state, 0.5);
    assert.ok(delay > before);
    before = delay;
    state = steps.climbFailed(state);
  }
  for (let climb = 0; climb < 100; climb += 1) state = steps.climbFailed(state);
  assert.ok(steps.climbDelay(state, 0.999) <= steps.PACE.climbMaxMs);
  assert.ok(steps.climbDelay(steps.networkChanged(state), 0.5) < before);
  const top = steps.climbed(state, "websocket", 5);
  assert.equal(steps.climbDelay(top, 0.5), null);
});

test("no history of failures leads off the ladder (seeds 1 to 300)", () => {
  const whys = ["unreachable", "refused", "silent", "mute", "lost", "busy"];
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = seeded(seed);
    let state = steps.ladder(ALL.slice(Math.floor(random() * 4)));
    let now = 0;
    for (let turn = 0; turn < 200; turn += 1) {
      now += random() * 30_000;
      if (random() < 0.4) state = steps.opened(state, now);
      now += random() * 30_000;
      const [next, pause] = steps.failed(state, whys[Math.floor(random() * whys.length)], now, random());
      state = next;
      assert.ok(state.rungs.includes(steps.current(state)) && Number.isFinite(pause) && pause >= 0, `seed ${seed}`);
    }
  }
});

const STREAM =
  "\uFEFF: hb\n\nid: c1\ndata: {\"a\":1}\n\n: hb\r\n\r\ndata: two\r\ndata:lines\r\n\r\nid\ndata\n\nevent: x\rdata: ü€😀\r\rdata: unfinished";

test("a stream means the same however it is split (seeds 1 to 500)", () => {
  const whole = new SseParser().push(STREAM);
  assert.deepEqual(whole, [
    { id: "c1", data: '{"a":1}' },
    { id: "c1", data: "two\nlines" },
    { id: "", data: "" },
    { id: "", data: "ü€😀" },
  ]);
  for (let seed = 1; seed <= 500; seed += 1) {
    const random = seeded(seed);
    const parser = new SseParser();
    const found = [];
    for (let at = 0; at < STREAM.length; ) {
      const length = Math.floor(random() * 6);
      found.push(...parser.push(STREAM.slice(at, at + length)));
      at += length;
    }
    assert.deepEqual(found, whole, `seed ${seed}`);
  }
});

test("a byte stream that is cut inside of characters reads well too", () => {
  const bytes = new TextEncoder().encode(STREAM.slice(1));
  const decoder = new TextDecoder();
  const parser = new SseParser();
  const found = [...bytes].flatMap((byte) => parser.push(decoder.decode(Uint8Array.of(byte), { stream: true })));
  assert.equal(found.at(-1).data, "ü€😀");
});

test("an endless line does not fill the memory", () => {
  const parser = new SseParser();
  const chunk = "x".repeat(1 << 20);
  for (let turn = 0; turn < 40; turn += 1) assert.deepEqual(parser.push(chunk), []);
  // What is left of the line is no field; the next event is read again.
  assert.deepEqual(parser.push("\n\ndata: a\n\n"), [{ id: null, data: "a" }]);
});

test("keys are remembered up to a bound, the oldest is forgotten first", () => {
  const seen = new Seen(3, ["a", "b"]);
  assert.equal(seen.add("a"), false);
  assert.equal(seen.add("c"), true);
  assert.equal(seen.add("d"), true);
  assert.deepEqual([seen.has("a"), seen.has("b"), seen.newest(2)], [false, true, ["c", "d"]]);
});

test("posts, notifications and deletions with the same number are different things", () => {
  const out = { seen: new Seen(), newest: {} };
  const post = { items: [{ id: "9", key: "9" }, { id: "8", key: "8" }] };
  assert.equal(fresh(out, "feed.posts", post).items.length, 2);
  assert.ok(fresh(out, "notification", { id: "9", key: "9" }));
  assert.ok(fresh(out, "post.deleted", { key: "9", id: "3" }));
  assert.equal(fresh(out, "notification", { id: "9", key: "9" }), null);
  assert.deepEqual(fresh(out, "feed.posts", { items: [{ id: "10", key: "10" }, { id: "9", key: "9" }] }), {
    items: [{ id: "10", key: "10" }],
  });
  assert.deepEqual(out.newest, { posts: "10", notifications: "9" });
});

test("a deleted account comes once, and takes what is theirs and what only passes it on", () => {
  const out = { seen: new Seen(), newest: {} };
  const gone = { key: "9", user_id: "1" };
  assert.deepEqual(fresh(out, "author.deleted", gone), gone);
  assert.equal(fresh(out, "author.deleted", { ...gone }), null);
  assert.deepEqual(streamsOf({ type: "author.deleted", data: gone }), ["posts"]);
  const post = (author, more = {}) => ({ author: { id: author }, text: "", media: [], reply_to: null, ...more });
  const theirs = post("1", { text: "words" });
  const dropped = [theirs, post("1", { repost_of: post("2") }), post("2", { repost_of: theirs })];
  const stays = [
    post("2", { text: "words" }),
    post("2", { text: "a quote", repost_of: theirs }),
    post("2", { media: [{}], repost_of: theirs }),
    post("2", { reply_to: "5", repost_of: theirs }),
    post("2", { repost_of: post("3") }),
  ];
  assert.deepEqual([...dropped, ...stays].map((one) => isDropped(one, gone)), [...dropped.map(() => true), ...stays.map(() => false)]);
});

test("ids are compared as numbers, beyond what numbers can hold", () => {
  assert.ok(newer("10", "9") && !newer("9", "10") && !newer("9", "9"));
  assert.ok(newer("9223372036854775807", "9223372036854775806"));
});

test("what is no frame is none", () => {
  for (const text of ["", "7", "null", "[]", "{}", '{"type":7}', "{"]) assert.equal(parseFrame(text), null, text);
  assert.equal(parseFrame('{"type":"hologram","x":1}').type, "hologram");
});

test("Retry-After is seconds or a date", () => {
  assert.equal(retryAfter("3"), 3000);
  assert.equal(retryAfter(new Date(10_000).toUTCString(), 4_000), 6_000);
  assert.equal(retryAfter("-1"), 0);
  assert.equal(retryAfter("soon"), null);
  assert.equal(retryAfter(null), null);
});
