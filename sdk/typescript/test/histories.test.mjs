// Scripted worlds: a server that keeps a log, sends it by trailing cursors, leaves gaps, drains and dies; a network that
// blocks, silences and cuts; an application that must see every item once and in order. A failure names its seed.
import assert from "node:assert/strict";
import test from "node:test";
import { Connection } from "../dist/realtime/connection.js";
import { Inbox } from "../dist/realtime/inbox.js";
import { TIMES } from "../dist/realtime/options.js";
import { Seen } from "../dist/realtime/seen.js";
import { FakeClock, seeded, settle } from "./fakes.mjs";

const WORLDS = 1_000;
/** Items of one stream that a resume brings; more become a gap. */
const REPLAY_MAX = 8;
/** Items by which cursors trail. */
const TRAIL = 4;

class World {
  clock = new FakeClock();
  log = [];
  links = new Set();
  blocked = new Set();
  down = false;
  faults = { silent: 0.15, cut: 0.25, doubled: 0.1, slow: 0.05 };

  constructor(seed) {
    this.random = seeded(seed);
    this.clock.random = this.random;
  }

  dial = (transport, cursor, sink) => {
    const polls = transport.endsWith("poll");
    const link = { transport, beats: !polls, sink, sent: 0, closed: false, send: () => {}, close: () => this.#close(link) };
    link.probe = () => {
      if (transport === "sse") return false;
      if (!link.dead && !this.down) this.#soon(link, () => sink.alive());
      return true;
    };
    this.links.add(link);
    this.#soon(link, () => this.#accept(link, cursor()));
    return link;
  };

  #close(link) {
    link.closed = true;
    this.links.delete(link);
  }

  #soon(link, call) {
    this.clock.after(1 + this.random() * 50, () => !link.closed && call());
  }

  #end(link, why, code = null) {
    this.links.delete(link);
    link.sink.ended({ why, code, retryAfterMs: null, detail: why });
  }

  #accept(link, cursor) {
    if (this.down) return this.#end(link, "unreachable");
    if (this.blocked.has(link.transport)) return this.#end(link, "refused");
    if (this.random() < this.faults.silent) return;
    const from = cursor === null ? this.log.length : Number(cursor);
    link.open = true;
    link.sink.alive();
    link.sink.opened();
    const data = { session_id: "1", heartbeat_s: 30, resumed: cursor !== null, transport: link.transport, cursor: String(from) };
    if (link.beats) link.sink.frame({ type: "hello", at: "x", data });
    link.at = from;
    this.#flush(link);
    this.#beat(link);
  }

  #beat(link) {
    this.clock.after(25_000, () => {
      if (link.closed || link.dead || this.down) return;
      link.sink.alive();
      this.#beat(link);
    });
  }

  /** Everything that the link has not had, as posts and notifications, with a gap where that is too much. */
  #flush(link) {
    if (link.closed || link.dead || link.at === undefined) return;
    for (const kind of ["post", "notification"]) this.#stream(link, kind);
    link.at = this.log.length;
  }

  #stream(link, kind) {
    const missed = this.log.slice(link.at).filter((item) => item.kind === kind);
    const slow = this.random() < this.faults.slow;
    const sent = slow ? missed.slice(-1) : missed.slice(-REPLAY_MAX);
    const cursor = () => String(Math.max(0, Math.min(link.at, this.log.length - TRAIL)));
    if (sent.length < missed.length) {
      const before = this.log.filter((item) => item.kind === kind && item.id < sent[0].id && !missed.includes(item)).at(-1);
      const data = { stream: `${kind}s`, after: String(before?.id ?? 0), before: String(sent[0].id), count: missed.length - sent.length };
      link.sink.frame({ id: cursor(), type: "gap", at: "x", data });
    }
    for (const item of sent) {
      if (link.closed) return;
      link.sink.alive();
      const times = this.random() < this.faults.doubled ? 2 : 1;
      for (let turn = 0; turn < times; turn += 1) link.sink.frame(frameOf(item, cursor()));
    }
  }

  publish() {
    const id = this.log.length + 1;
    this.log.push({ id, kind: this.random() < 0.7 ? "post" : "notification" });
    for (const link of [...this.links]) if (link.open && this.random() < 0.8) this.#flush(link);
  }

  /** Makes the next thing go wrong. */
  async disturb(connection) {
    const roll = this.random();
    const links = [...this.links];
    if (roll < this.faults.cut) for (const link of links) this.#end(link, "lost", 1006);
    else if (roll < 0.35) for (const link of links) link.dead = true;
    else if (roll < 0.45) this.blocked = new Set(["websocket", "sse", "long_poll"].filter(() => this.random() < 0.5));
    else if (roll < 0.55) {
      this.down = true;
      for (const link of links) this.#end(link, "lost", 1006);
    } else if (roll < 0.62) {
      for (const link of links) if (link.open) link.sink.frame({ type: "drain", at: "x", data: { reconnect_after_ms: this.random() * 3_000 } });
    } else if (roll < 0.7) await this.clock.sleep(200_000);
    else if (roll < 0.8) connection.wake();
    else if (roll < 0.85) connection.offline();
    else connection.online();
  }

  /** Everything works again, and what is open is brought up to date. */
  heal() {
    this.down = false;
    this.blocked.clear();
    this.faults = { silent: 0, cut: 0, doubled: 0, slow: 0 };
  }

  catchUp() {
    for (const link of [...this.links]) if (link.open) this.#flush(link);
  }

  fetch = async (stream, after, before) => {
    if (this.down || this.random() < 0.2) throw new Error("no network");
    const between = this.log.filter((item) => item.id > Number(after) && (before === null || item.id < Number(before)));
    const of = (kind) => between.filter((item) => item.kind === kind).reverse().map((item) => ({ id: String(item.id), key: String(item.id) }));
    const posts = stream === "posts" ? of("post") : [];
    return { posts, notifications: stream === "notifications" ? of("notification") : [], complete: true };
  };
}

function frameOf(item, cursor) {
  const data = { id: String(item.id), key: String(item.id) };
  if (item.kind === "notification") return { id: cursor, type: "notification", at: "x", data };
  return { id: cursor, type: "feed.posts", at: "x", data: { items: [data] } };
}

async function run(seed) {
  const world = new World(seed);
  const heard = { post: [], notification: [] };
  const resets = [];
  const emit = (info, data) => {
    if (info.type === "feed.posts") heard.post.push(...[...data.items].reverse().map((item) => Number(item.id)));
    if (info.type === "notification") heard.notification.push(Number(data.id));
    if (info.type === "reset") resets.push(data.reason);
  };
  const out = { seen: new Seen(), newest: {} };
  const inbox = new Inbox({ clock: world.clock, recover: true, out, fetch: world.fetch, emit, commit: () => {} });
  const connection = new Connection({
    dial: world.dial,
    clock: world.clock,
    times: TIMES,
    transports: ["websocket", "sse", "long_poll", "short_poll"],
    cursor: "0",
    first: null,
    frame: (frame) => inbox.take(frame),
    state: () => {},
  });
  connection.start();
  for (let turn = 0; turn < 25; turn += 1) {
    for (let post = world.random() * 4; post > 0; post -= 1) world.publish();
    if (world.random() < 0.5) await world.disturb(connection);
    await world.clock.pass(world.random() * 20_000);
    if (world.random() < 0.5) world.down = false;
  }
  world.heal();
  connection.online();
  for (let turn = 0; turn < 40; turn += 1) {
    await world.clock.pass(10_000);
    world.catchUp();
  }
  await settle();
  connection.stop();
  return { world, heard, resets, state: connection.state };
}

test(`every item once and in order, in ${WORLDS} worlds where everything goes wrong`, { timeout: 120_000 }, async () => {
  for (let seed = 1; seed <= WORLDS; seed += 1) {
    const { world, heard, resets } = await run(seed);
    for (const kind of ["post", "notification"]) {
      const expected = world.log.filter((item) => item.kind === kind).map((item) => item.id);
      // An unreadable gap is told by a reset: the application reads its view anew, and late items may come.
      if (resets.length > 0) assert.equal(new Set(heard[kind]).size, heard[kind].length, `seed ${seed}: twice`);
      else assert.deepEqual(heard[kind], expected, `seed ${seed}: ${kind}`);
    }
    assert.ok(resets.every((reason) => reason === "incomplete"), `seed ${seed}: ${resets}`);
  }
});
