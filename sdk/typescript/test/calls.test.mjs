// Rules that every call has in common: it can be taken back, it repeats what may be repeated, it renews only what can
// be renewed, and it says what to look at when a browser keeps the answer from it.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";
import { Client, NetworkError, Pages, ProblemError } from "../dist/index.js";
import { randomKey } from "../dist/random.js";
import { ASKS_NOBODY, CALLS } from "./calls.mjs";
import { FakeClock, settle } from "./fakes.mjs";

/** A client whose requests a function answers. */
function client(answer, options = {}) {
  const asked = [];
  const fetch = async (url, init) => {
    asked.push({ url, init, headers: init.headers });
    return answer({ url, init, tries: asked.length });
  };
  return { asked, client: new Client({ baseUrl: "http://fanfare.test", token: "t", fetch, ...options }) };
}

const problem = (status, code, headers = {}) =>
  new Response(JSON.stringify({ type: `/docs/problems#${code}`, title: "T", status, detail: "D", code }), {
    status,
    headers: { "content-type": "application/problem+json", ...headers },
  });
const json = (value, status = 200) => new Response(JSON.stringify(value), { status });

/** A fetch that answers when its signal is aborted, and not before. */
const never = ({ init }) => new Promise((_, reject) => init.signal.addEventListener("abort", () => reject(init.signal.reason)));

test("every call can be taken back, before it asks and while it waits", async () => {
  for (const [group, calls] of Object.entries(CALLS)) {
    const { client: all } = client(never);
    const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(all[group]));
    const asking = methods.filter((name) => name !== "constructor" && !ASKS_NOBODY.includes(`${group}.${name}`));
    assert.deepEqual(asking.sort(), Object.keys(calls).sort(), `${group}: a call is not tested`);
    for (const [name, args] of Object.entries(calls)) {
      const { client: waits, asked } = client(never);
      const gone = AbortSignal.abort(new Error("gone"));
      await assert.rejects(async () => waits[group][name](...args, { signal: gone }), /gone/, `${group}.${name}`);
      assert.equal(asked.length, 0, `${group}.${name} asked all the same`);
      const controller = new AbortController();
      const call = Promise.resolve(waits[group][name](...args, { signal: controller.signal }));
      await settle();
      assert.equal(asked.length, 1, `${group}.${name}`);
      controller.abort(new Error("enough"));
      await assert.rejects(call, /enough/, `${group}.${name}`);
      assert.equal(asked.length, 1, `${group}.${name} asked again`);
    }
  }
});

test("a repeat waits for the first request with its key, and a second deletion finds that the first was done", async () => {
  const clock = new FakeClock();
  const answers = [problem(503, "outcome_unknown", { "retry-after": "1" }), problem(409, "conflict"), json({ id: "7" }, 201)];
  const { client: author, asked } = client(() => answers.shift(), { clock });
  const made = author.posts.create({ text: "once" });
  await clock.pass(8_000);
  assert.equal((await made).id, "7");
  assert.equal(new Set(asked.map(({ headers }) => headers["idempotency-key"])).size, 1);

  const deletions = [problem(503, "outcome_unknown"), problem(410, "gone")];
  const { client: owner } = client(() => deletions.shift(), { clock });
  const deleted = owner.posts.delete("7");
  await clock.pass(4_000);
  assert.equal(await deleted, undefined);
  const { client: late } = client(() => problem(410, "gone"));
  await assert.rejects(late.posts.delete("7"), (error) => error.code === "gone");
  const { client: refused } = client(() => problem(409, "conflict"));
  await assert.rejects(refused.posts.create({ text: "x" }), (error) => error.code === "conflict");
});

test("going through a list ends with its signal, and an answer that is half read too", async () => {
  const controller = new AbortController();
  const page = ({ tries }) => json({ items: [tries], next_cursor: `c${tries}` });
  const { client: reader, asked } = client(page);
  const list = reader.users.followers("1", { signal: controller.signal });
  assert.ok(list instanceof Pages);
  const seen = [];
  const all = (async () => {
    for await (const item of list) {
      seen.push(item);
      if (item === 3) controller.abort(new Error("enough"));
    }
  })();
  await assert.rejects(all, /enough/);
  assert.deepEqual([seen, asked.length], [[1, 2, 3], 3]);

  const half = ({ init }) => {
    const body = new ReadableStream({
      start(stream) {
        stream.enqueue(new TextEncoder().encode('{"id":'));
        init.signal.addEventListener("abort", () => stream.error(init.signal.reason));
      },
    });
    return new Response(body);
  };
  const second = new AbortController();
  const call = client(half).client.users.me({ signal: second.signal });
  await settle();
  second.abort(new Error("never mind"));
  await assert.rejects(call, /never mind/);
});

test("a signal that outlives many calls keeps none of them", async () => {
  const controller = new AbortController();
  let listening = 0;
  const { signal } = controller;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args) => ((listening += 1), add(...args));
  signal.removeEventListener = (...args) => ((listening -= 1), remove(...args));
  const { client: caller } = client(({ tries }) => (tries % 2 ? json({}) : problem(404, "not_found")));
  for (let turn = 0; turn < 6; turn += 1) await caller.users.me({ signal }).catch(() => {});
  assert.equal(listening, 0);
});

test("a wrong password renews nothing and carries nobody's token", async () => {
  let renewals = 0;
  const renewToken = () => ((renewals += 1), "new");
  const { client: caller, asked } = client(() => problem(401, "invalid_credentials"), { renewToken });
  await assert.rejects(caller.accounts.logIn("ann", "wrong"), (error) => error.code === "invalid_credentials");
  assert.deepEqual([renewals, asked.length, asked[0].headers.authorization], [0, 1, undefined]);
  // Also where a call that carries a token is refused for a password.
  await assert.rejects(caller.accounts.changePassword("wrong", "other"), ProblemError);
  assert.equal(renewals, 0);
  // A server that does not know the code yet: a log-in has no token that could be renewed.
  const { client: older } = client(() => problem(401, "unauthenticated"), { renewToken });
  await assert.rejects(older.accounts.logIn("ann", "wrong"), (error) => error.code === "unauthenticated");
  assert.equal(renewals, 0);
});

test("a log-out while a token is being renewed is not undone by it", async () => {
  let bring;
  const renewToken = () => new Promise((resolve) => (bring = resolve));
  const { client: caller } = client(() => problem(401, "unauthenticated"), { renewToken });
  const call = caller.users.me();
  await settle();
  caller.setToken(null);
  bring("new");
  await assert.rejects(call);
  assert.equal(await caller.http.token(), null);
});

test("a post whose outcome nobody knows is sent again with the same key, whichever key that is", async () => {
  for (const once of [{}, { idempotencyKey: "mine" }]) {
    const clock = new FakeClock();
    const answer = ({ tries }) => (tries < 3 ? problem(503, "outcome_unknown", { "retry-after": "1" }) : json({ id: "7" }, 201));
    const { client: caller, asked } = client(answer, { clock });
    const call = caller.posts.create({ text: "once" }, once);
    await clock.pass(10_000);
    assert.equal((await call).id, "7");
    const keys = asked.map((request) => request.headers["idempotency-key"]);
    assert.equal(keys.length, 3);
    assert.deepEqual([...new Set(keys)].length, 1, `${keys}`);
    if (once.idempotencyKey) assert.equal(keys[0], "mine");
  }
  // Without a key a repetition could do it twice: the caller is told.
  const { client: caller, asked } = client(() => problem(503, "outcome_unknown"));
  await assert.rejects(caller.media.upload(new Blob(["a"])), (error) => error.code === "outcome_unknown");
  assert.equal(asked.length, 1);
});

test("keys need nothing that pages over plain http do not have", () => {
  const keys = new Set(Array.from({ length: 1_000 }, () => randomKey()));
  for (let turn = 0; turn < 1_000; turn += 1) keys.add(randomKey(undefined));
  keys.add(randomKey({ getRandomValues: (bytes) => bytes.fill(10) }));
  assert.equal(keys.size, 2_001);
  for (const key of keys) assert.match(key, /^[0-9a-f]{32}$/);
  assert.ok(keys.has("0a".repeat(16)));
  const source = new URL("../src/", import.meta.url);
  // Only secure contexts have it; the other such parts of the platform are looked for before they are used.
  for (const file of readdirSync(source, { recursive: true }).filter((name) => name.endsWith(".ts"))) {
    assert.doesNotMatch(readFileSync(new URL(file, source), "utf8"), /crypto\.(randomUUID|subtle)/, file);
  }
});

test("the address of media is right, whether the server answers whole addresses or parts", () => {
  const at = (baseUrl, address) => new Client({ baseUrl }).media.url(address);
  const media = (url) => ({ id: "1", kind: "image", url, bytes: 1, content_type: "image/png" });
  for (const wrap of [(url) => url, media]) {
    assert.equal(at("https://a.example", wrap("/media/1/original")), "https://a.example/media/1/original");
    assert.equal(at("https://a.example/", wrap("media/1/original")), "https://a.example/media/1/original");
    assert.equal(at("https://a.example/social/", wrap("/media/1/original")), "https://a.example/social/media/1/original");
    assert.equal(at("https://a.example", wrap("https://cdn.example/1")), "https://cdn.example/1");
    assert.equal(at("https://a.example", wrap("HTTP://cdn.example/1")), "HTTP://cdn.example/1");
    assert.equal(at("https://a.example", wrap("//cdn.example/1")), "//cdn.example/1");
  }
  assert.equal(at("https://a.example", null), null);
  assert.equal(at("https://a.example", undefined), null);
});

test("no answer in a page of another origin names CORS and the setting; elsewhere it does not", async (t) => {
  t.after(() => delete globalThis.location);
  const fails = () => {
    throw new TypeError("Failed to fetch");
  };
  const said = async (options = {}) => {
    const error = await client(fails, { retries: 0, ...options }).client.users.me().catch((error) => error);
    assert.ok(error instanceof NetworkError);
    return error.message;
  };
  assert.doesNotMatch(await said(), /CORS/, "Node knows no origins");
  globalThis.location = { origin: "http://localhost:5173" };
  assert.match(await said(), /CORS.*http\.cors_origins = \["http:\/\/localhost:5173"\]/);
  assert.match(await said(), /http:\/\/fanfare\.test /);
  assert.doesNotMatch(await said({ baseUrl: "http://localhost:5173/social" }), /CORS/, "the page's own server");
  globalThis.location = { origin: "null" };
  assert.match(await said(), /serve it over http/);
  globalThis.location = { origin: "http://localhost:5173" };
  const clock = new FakeClock();
  const { client: slow } = client(never, { clock, retries: 0 });
  const call = slow.users.me().catch((error) => error.message);
  await clock.pass(60_000);
  assert.doesNotMatch(await call, /CORS/, "a timeout has a reason of its own");
});
