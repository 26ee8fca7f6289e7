// Against the real server, from Node: every call, every transport, kills, drains, gaps.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test as unbounded } from "node:test";
import { fileURLToPath } from "node:url";
import { Client, ProblemError } from "../dist/index.js";
import { CALLS } from "../test/calls.mjs";
import { binary, History, PASSWORD, Server, until } from "./harness.mjs";

const ALL = ["websocket", "sse", "long_poll", "short_poll"];
/** Times of a test: what takes seconds in life takes a fraction here. */
const times = { backoffMs: 50, backoffMaxMs: 500, climbMs: 60_000, shortPollMs: 150, longPollS: 5 };

/** A test that ends. */
const test = (name, body) => unbounded(name, { timeout: 60_000 }, body);

/** Two people, of whom the first follows the second, and the first one's connection. */
async function couple(t, server, name, options = {}) {
  const reader = await server.person(`${name}_reader`);
  const author = await server.person(`${name}_author`);
  await reader.users.follow(author.user.id);
  const realtime = reader.connect({ times, ...options });
  t.after(() => realtime.stop());
  const history = new History(realtime);
  realtime.start();
  await realtime.opened();
  return { reader, author, realtime, history };
}

test("the types are those of the server", () => {
  const script = fileURLToPath(new URL("../scripts/types.mjs", import.meta.url));
  execFileSync(process.execPath, [script, "--check"], { env: { ...process.env, FANFARE_BIN: binary() }, stdio: "inherit" });
});

test("every operation of the API is a call here", async () => {
  const { paths } = JSON.parse(execFileSync(binary(), ["openapi"], { encoding: "utf8", maxBuffer: 1 << 26 }));
  const asked = [];
  const fetch = async (url, { method }) => {
    asked.push(`${method} ${new URL(url).pathname}`);
    return new Response("{}");
  };
  const client = new Client({ baseUrl: "http://fanfare.test", token: "t", fetch });
  for (const [group, calls] of Object.entries(CALLS)) {
    // What the fake answers is no answer; only the requests count.
    for (const [name, args] of Object.entries(calls)) await Promise.resolve(client[group][name](...args)).catch(() => {});
  }
  const missing = [];
  for (const [path, operations] of Object.entries(paths).filter(([path]) => path.startsWith("/v1/"))) {
    const shape = new RegExp(`^${path.replace(/\{\w+\}/g, "[^/]+")}$`);
    for (const method of Object.keys(operations).filter((key) => key !== "parameters").map((key) => key.toUpperCase())) {
      // What carries a connection is no call.
      if (["/v1/realtime", "/v1/realtime/sse"].includes(path)) continue;
      const made = asked.some((one) => one.startsWith(`${method} `) && shape.test(one.slice(method.length + 1)));
      if (!made) missing.push(`${method} ${path}`);
    }
  }
  assert.deepEqual(missing, []);
});

test("every call does what it says", async (t) => {
  const server = await Server.start(t);
  const ann = await server.person("ann");
  const bob = await server.person("bob");
  assert.equal((await ann.users.me()).handle, "ann");
  assert.equal((await ann.users.updateMe({ bio: "hello" })).bio, "hello");
  assert.equal((await ann.users.follow("@bob")).following, true);
  assert.equal((await ann.users.get("@bob")).relationship.following, true);
  assert.deepEqual((await ann.users.following(ann.user.id)).items.map((user) => user.id), [bob.user.id]);
  assert.equal((await bob.users.followers(bob.user.id).take(9)).length, 1);
  assert.equal((await ann.users.search("bo").take(9)).length, 1);

  const png = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
  const media = await bob.media.upload(new Blob([png]), { alt: "a dot", filename: "dot.png" });
  assert.deepEqual([media.kind, media.alt], ["image", "a dot"]);
  const post = await bob.posts.create({ text: "hi @ann", media_ids: [media.id] });
  const again = await bob.posts.create({ text: "once" }, { idempotencyKey: "k1" });
  assert.equal((await bob.posts.create({ text: "once" }, { idempotencyKey: "k1" })).id, again.id);
  assert.deepEqual((await ann.feed.read().take(9)).map((one) => one.id), [again.id, post.id]);
  assert.equal((await ann.posts.like(post.id)).liked, true);
  const answer = await ann.posts.create({ text: "you too", reply_to: post.id });
  assert.equal((await bob.posts.thread(answer.id)).ancestors[0].id, post.id);
  assert.equal((await bob.posts.replies(post.id)).items.length, 1);
  assert.equal((await bob.posts.likes(post.id)).items[0].handle, "ann");
  assert.deepEqual((await bob.notifications.list()).items.map((one) => one.kind).sort(), ["follow", "like", "reply"]);
  const newest = (await bob.notifications.list({ limit: 1 })).items[0].id;
  assert.equal((await bob.notifications.markRead(newest)).unread_count, 0);
  assert.equal((await ann.feed.unread()).count, 2);
  assert.equal((await ann.feed.markRead(again.id)).count, 0);
  await bob.posts.delete(again.id);
  await assert.rejects(ann.posts.get(again.id), (error) => error instanceof ProblemError && error.code === "gone");
  await assert.rejects(ann.posts.create({ text: "x".repeat(501) }), (error) => Boolean(error.field("text")));

  assert.deepEqual((await ann.presence.of([bob.user.id])).map((one) => one.online), [false]);
  await bob.presence.heartbeat();
  await until(async () => (await ann.presence.of([bob.user.id]))[0].online, "the sign of life to count");
  assert.deepEqual((await ann.presence.following().take(9)).map((one) => one.user_id), [bob.user.id]);
  assert.ok((await server.admin().admin.status()).version);

  const { admin } = server.admin();
  assert.equal((await admin.suspend("@bob", { reason: "a test" })).reason, "a test");
  await assert.rejects(new Client({ baseUrl: server.base }).accounts.logIn("bob", PASSWORD), (error) => error.code === "account_suspended");
  await admin.unsuspend("@bob", { reason: "it was a test" });
  await admin.setPassword("@bob", "a third password");
  await bob.accounts.logIn("bob", "a third password");
  await admin.deletePost(answer.id);
  const acts = (await admin.audit().take(4)).map((line) => line.action);
  assert.deepEqual(acts, ["post.delete", "user.password", "user.unsuspend", "user.suspend"]);

  await ann.accounts.changePassword(PASSWORD, "another password");
  await ann.accounts.logOut();
  await assert.rejects(ann.users.me(), (error) => error.code === "unauthenticated");
  await ann.accounts.logIn("ann", "another password");
  await ann.accounts.delete();
});

for (const transport of ALL) {
  test(`${transport} carries posts, notifications, markers, presence, operators' events and replies`, async (t) => {
    const server = await Server.start(t);
    const { reader, author, realtime, history } = await couple(t, server, "a", { transports: [transport] });
    assert.equal(realtime.transport, transport);
    realtime.watchPresence([author.user.id]);
    const first = await author.posts.create({ text: "one" });
    const second = await author.posts.create({ text: "two @a_reader" });
    await until(() => history.posts.length === 2 && history.notifications.length === 1, () => JSON.stringify(history.events));
    assert.deepEqual(history.faults([first.id, second.id]), []);
    assert.ok((await realtime.ping()) >= 0);
    await realtime.markFeedRead(second.id);
    assert.equal((await reader.feed.unread()).count, 0);
    await assert.rejects(realtime.send("hologram", {}), ProblemError);
    await author.posts.delete(first.id);
    await until(() => history.deleted.includes(first.id), "the deletion");
    assert.ok(!history.has("gap") && !history.has("reset"));
    if (transport === "websocket" || transport === "sse") {
      await until(() => history.has("feed.read"), "the marker");
      await server.admin().admin.publish({ user_ids: [reader.user.id] }, "shop.sale", { off: 7 });
      await until(() => history.events.some((event) => event.type === "shop.sale" && event.data.off === 7), "the operator's event");
      const other = author.connect({ times });
      t.after(() => other.stop());
      other.start();
      const online = () => history.events.some((event) => event.type === "presence" && event.data.online);
      await until(online, () => `presence: ${JSON.stringify(history.events.filter((e) => e.type === "presence"))}`, 15_000);
    }
    await author.accounts.delete();
    await until(() => history.departed.length > 0, "the end of the account");
    assert.deepEqual(history.departed, [author.user.id]);
    assert.ok(!history.has("reset") && !history.deleted.includes(second.id));
  });

  test(`${transport} comes back after a kill -9 of the server, and nothing is lost or doubled`, async (t) => {
    const server = await Server.start(t);
    const { author, realtime, history } = await couple(t, server, "b", { transports: [transport] });
    const expected = [];
    for (let round = 0; round < 3; round += 1) {
      for (let turn = 0; turn < 5; turn += 1) expected.push((await author.posts.create({ text: `${round}.${turn}` })).id);
      await server.kill();
      await server.start();
    }
    expected.push((await author.posts.create({ text: "last" })).id);
    await until(() => history.posts.includes(expected.at(-1)), () => `${realtime.state.status} ${history.posts.length} of ${expected.length}`, 20_000);
    await until(() => history.posts.length >= expected.length, "the rest");
    assert.deepEqual(history.faults(expected), []);
    assert.ok(!history.has("reset"), "a kill is no reason for a reset");
  });
}

test("a session goes on under another transport from the same cursor", async (t) => {
  const server = await Server.start(t);
  const { reader, author, realtime, history } = await couple(t, server, "c");
  const values = new Map();
  const storage = { getItem: (key) => values.get(key) ?? null, setItem: (key, value) => values.set(key, value), removeItem: (key) => values.delete(key) };
  realtime.stop();
  const expected = [];
  for (const transport of [...ALL, ...ALL]) {
    const next = reader.connect({ times, storage, transports: [transport] });
    t.after(() => next.stop());
    const seen = new History(next);
    next.start();
    await next.opened();
    // The first of each round was published while nobody listened.
    const missed = expected.at(-1) ?? [];
    const now = (await author.posts.create({ text: transport })).id;
    await until(() => seen.posts.includes(now), `${transport}`);
    assert.deepEqual(seen.faults([...missed, now]), [], transport);
    history.posts.push(...seen.posts);
    next.stop();
    expected.push([(await author.posts.create({ text: "missed" })).id]);
  }
  assert.deepEqual(history.faults([]), []);
});

test("more than a resume brings becomes a gap, which is read over HTTP, in order", async (t) => {
  const server = await Server.start(t);
  const { author, realtime, history, reader } = await couple(t, server, "d");
  const values = new Map();
  const storage = { getItem: (key) => values.get(key) ?? null, setItem: (key, value) => values.set(key, value), removeItem: () => {} };
  realtime.stop();
  const first = reader.connect({ times, storage });
  const before = new History(first);
  first.start();
  await first.opened();
  const known = (await author.posts.create({ text: "known" })).id;
  await until(() => before.posts.includes(known), "the first post");
  first.stop();
  const expected = [];
  for (let batch = 0; batch < 26; batch += 1) {
    const posts = await Promise.all(Array.from({ length: 25 }, (_, at) => author.posts.create({ text: `${batch}.${at}` })));
    expected.push(...posts.map((post) => post.id));
  }
  const second = reader.connect({ times, storage });
  t.after(() => second.stop());
  const after = new History(second);
  second.start();
  await until(() => after.posts.length >= expected.length, () => `${after.posts.length} of ${expected.length}`, 20_000);
  assert.deepEqual(after.faults(expected), []);
  assert.ok(after.has("gap") && after.events.some((event) => event.recovered));
  assert.ok(!history.has("reset"));
});

test("a cursor of somebody else's resets, and the reset is made whole", async (t) => {
  const server = await Server.start(t);
  const { reader, author, realtime } = await couple(t, server, "e");
  await until(() => realtime.cursor, "a cursor");
  const foreign = JSON.stringify({ v: 1, at: Date.now(), cursor: "nonsense", keys: [], newest: { posts: "1" }, transport: null });
  const missed = (await author.posts.create({ text: "missed" })).id;
  const next = reader.connect({ times, storage: { getItem: () => foreign, setItem: () => {}, removeItem: () => {} } });
  t.after(() => next.stop());
  const seen = new History(next);
  next.start();
  await until(() => seen.posts.includes(missed), () => JSON.stringify(seen.events));
  assert.equal(seen.events.find((event) => event.type === "reset").data.reason, "malformed");
});

test("logging out ends the session at once; a new token brings it back, no token stops it", async (t) => {
  const server = await Server.start(t);
  for (const transport of ["websocket", "sse", "long_poll"]) {
    const { reader, realtime } = await couple(t, server, `f_${transport.slice(0, 4)}`, { transports: [transport] });
    await reader.http.json("DELETE", "/v1/sessions");
    await until(() => realtime.state.status === "stopped", () => `${transport}: ${realtime.state.status}`);
    assert.equal(realtime.state.error.code, 4401);
  }
  const handle = "f_renewed";
  await server.person(handle);
  const logIn = async () => (await new Client({ baseUrl: server.base }).accounts.logIn(handle, PASSWORD)).token;
  const client = new Client({ baseUrl: server.base, token: await logIn(), renewToken: logIn });
  const realtime = client.connect({ times }).start();
  t.after(() => realtime.stop());
  await realtime.opened();
  const states = [];
  realtime.onState((state) => states.push(state.status));
  await client.http.json("DELETE", "/v1/sessions");
  await until(() => states.includes("open"), () => `${states}`);
});

test("a server that is told to stop asks everybody to come back, and they do", async (t) => {
  const server = await Server.start(t, { FANFARE__REALTIME__DRAIN_SPREAD_S: "2" });
  const people = [];
  for (const transport of ALL) people.push(await couple(t, server, `g_${transport}`, { transports: [transport] }));
  await server.kill("SIGTERM");
  await server.start();
  for (const { author, history, realtime } of people) {
    const now = (await author.posts.create({ text: "back" })).id;
    await until(() => history.posts.includes(now), () => `${realtime.state.status} ${JSON.stringify(history.events)}`, 20_000);
    assert.ok(!history.has("reset"));
  }
  for (const { history } of people.slice(0, 2)) assert.ok(history.has("drain"));
});

test("too many connections of a person wait, long", async (t) => {
  const server = await Server.start(t, { FANFARE__REALTIME__SESSIONS_PER_USER_MAX: "2" });
  const { reader } = await couple(t, server, "h");
  const { admin } = server.admin();
  const open = async () => (await admin.sessions({ user_id: reader.user.id })).items.length;
  await until(async () => (await open()) === 1, "the one session");
  const second = reader.connect({ times }).start();
  t.after(() => second.stop());
  await second.opened();
  const third = reader.connect({ times }).start();
  t.after(() => third.stop());
  await until(() => third.state.status === "waiting" && third.state.retryAt - Date.now() > 20_000, () => JSON.stringify(third.state));
});
