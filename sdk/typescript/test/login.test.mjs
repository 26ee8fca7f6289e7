// Realtime before, between and after log-ins: it waits for a token, and is always whose the token is.
import assert from "node:assert/strict";
import test from "node:test";
import { Client } from "../dist/index.js";
import { Realtime } from "../dist/realtime/realtime.js";
import { FakeClock, FakeDial, posts, settle } from "./fakes.mjs";

/** A client that can log in as anybody, and its realtime. */
function world(options = {}, realtimeOptions = {}) {
  const clock = new FakeClock();
  const dial = new FakeDial();
  const answer = (handle) => new Response(JSON.stringify({ token: `token of ${handle}`, user: { id: handle } }), { status: 201 });
  const fetch = globalThis.fetch;
  globalThis.fetch = async (_url, init) => (init.method === "DELETE" ? new Response(null, { status: 204 }) : answer(JSON.parse(init.body).handle));
  const client = new Client({ baseUrl: "http://fanfare.test", clock, ...options });
  const realtime = new Realtime(client, realtimeOptions, { dial: dial.dial, tabs: null });
  const states = [];
  realtime.onState((state) => states.push(state.status));
  return { clock, dial, client, realtime, states, end: () => (globalThis.fetch = fetch) };
}

/** Tests change the global fetch: one after the other, and back. */
const story = (name, body, ...args) =>
  test(name, async () => {
    const world_ = world(...args);
    try {
      await body(world_);
    } finally {
      world_.realtime.stop();
      world_.end();
    }
  });

story("before a log-in nothing is tried, and nothing stops; the log-in begins it", async ({ clock, dial, client, realtime, states }) => {
  realtime.start();
  await clock.pass(3_600_000);
  assert.equal(dial.links.length, 0);
  assert.deepEqual([realtime.state.status, realtime.state.retryAt, realtime.state.error], ["waiting", null, null]);
  let open = false;
  void realtime.opened().then(() => (open = true));
  await client.accounts.logIn("ann", "password");
  await settle();
  assert.equal(dial.links.length, 1);
  dial.last.open();
  await settle();
  assert.ok(open && realtime.state.status === "open");
  assert.ok(!states.includes("stopped"));
});

story("a token that is set is as good as a log-in", async ({ dial, client, realtime }) => {
  realtime.start();
  await settle();
  client.setToken("a JWT");
  await settle();
  assert.equal(dial.links.length, 1);
});

story("a token that is set right after the start, before anything was asked, counts", async ({ clock, dial, client, realtime }) => {
  realtime.start();
  client.setToken("kept from the last visit");
  await clock.pass(1_000);
  assert.equal(dial.links.length, 1);
});

{
  let token = null;
  let asked = 0;
  const source = () => ((asked += 1), token);
  story("a function that has no token yet is asked again, ever more rarely, and at once on waking", async ({ clock, dial, realtime }) => {
    realtime.start();
    await clock.pass(60_000);
    assert.ok(asked >= 5 && asked <= 8, `${asked}`);
    assert.equal(realtime.state.status, "waiting");
    assert.ok(realtime.state.retryAt > clock.now());
    assert.equal(dial.links.length, 0);
    token = "there";
    realtime.wake();
    await settle();
    assert.equal(dial.links.length, 1);
    assert.equal(clock.waiting, 1, "nothing but the first frame is waited for");
  }, { token: source });
}

{
  let broken = true;
  const source = async () => {
    if (broken) throw new Error("the backend is away");
    return "there";
  };
  story("a function that fails is a function that has no token yet", async ({ clock, dial, realtime }) => {
    realtime.start();
    await clock.pass(5_000);
    assert.deepEqual([realtime.state.status, dial.links.length], ["waiting", 0]);
    broken = false;
    await clock.pass(30_000);
    assert.ok(dial.links.length > 0);
  }, { token: source });
}

story("who renews tokens is asked for the first one too", async ({ dial, realtime }) => {
  realtime.start();
  await settle();
  assert.equal(dial.links.length, 1);
}, { renewToken: async (refused) => (refused === null ? "first" : null) });

story("stopping while it waits is the end of waiting", async ({ clock, dial, client, realtime }) => {
  realtime.start();
  await settle();
  realtime.stop();
  assert.equal(realtime.state.status, "idle");
  await client.accounts.logIn("ann", "password");
  await clock.pass(60_000);
  assert.deepEqual([dial.links.length, clock.waiting], [0, 0]);
});

const kept = new Map();
const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) };
story("after a log-out it waits, and the next person begins afresh", async ({ clock, dial, client, realtime }) => {
  const heard = [];
  realtime.on("feed.posts", ({ items }) => heard.push(...items.map((post) => post.id)));
  realtime.start();
  await client.accounts.logIn("ann", "password");
  await settle();
  const first = dial.last;
  first.open();
  first.sink.frame(posts("c1", 11));
  await clock.pass(2_000);
  assert.ok(kept.size > 0);
  await client.accounts.logOut();
  await settle();
  assert.ok(first.closed);
  assert.deepEqual([realtime.state.status, realtime.cursor, kept.size], ["waiting", null, 0]);
  await client.accounts.logIn("bob", "password");
  await settle();
  assert.equal(dial.links.length, 2);
  assert.equal(dial.last.cursor, null, "ann's place is not bob's");
  dial.last.open();
  dial.last.sink.frame(posts("c2", 11));
  assert.deepEqual(heard, ["11", "11"], "what ann saw, bob did not");
}, {}, { storage });

story("somebody else's log-in without a log-out begins anew; one's own, and a fresh token, do not", async ({ dial, client, realtime }) => {
  await client.accounts.logIn("ann", "password");
  realtime.start();
  await settle();
  dial.last.open();
  client.setToken("a fresher token");
  await client.accounts.logIn("ann", "password");
  await settle();
  assert.deepEqual([dial.links.length, dial.last.closed], [1, false]);
  await client.accounts.logIn("bob", "password");
  await settle();
  assert.deepEqual([dial.links.length, dial.links[0].closed], [2, true]);
});

story("a session that was stopped for its token goes on with the next one", async ({ clock, dial, client, realtime }) => {
  await client.accounts.logIn("ann", "password");
  realtime.start();
  await settle();
  dial.last.open();
  dial.last.sink.frame(posts("c9", 9));
  dial.last.end("lost", 4401);
  await clock.pass(30_000);
  dial.last.end("lost", 4401);
  await settle();
  assert.deepEqual([realtime.state.status, realtime.state.error.code], ["stopped", 4401]);
  const before = dial.links.length;
  await client.accounts.logIn("ann", "password");
  await settle();
  assert.equal(dial.links.length, before + 1);
  assert.equal(dial.last.cursor, "c9", "it is still ann");
});
