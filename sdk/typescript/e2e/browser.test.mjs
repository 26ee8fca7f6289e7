// A real browser behind a real proxy: what carries the page when the proxy buffers, refuses or cuts, the way back up, two
// tabs on one connection, and the network that goes and comes.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { browser, Nginx, pages, Server, Suite, until } from "./harness.mjs";

/** Times of a test: ten seconds of life are one and a half here. */
const times = { firstFrameMs: 1_500, probeMs: 1_000, backoffMs: 100, backoffMaxMs: 500, climbMs: 60_000, shortPollMs: 300, longPollS: 3 };
/** The same, climbing at once. */
const climbing = { ...times, climbMs: 300, climbMaxMs: 1_000 };

describe("a page", { timeout: 170_000 }, () => {
  const suite = new Suite();
  let server, chromium, files, author, people;

  before(async () => {
    server = await Server.start(suite, { FANFARE__REALTIME__HEARTBEAT_S: "2", FANFARE__REALTIME__OFFLINE_AFTER_S: "20" });
    [chromium, files] = [await browser(suite), await pages(suite)];
    author = await server.person("author");
    people = 0;
  });
  after(() => suite.end());

  /** A follower of the author, and pages that are theirs. */
  async function reader(t, nginx, options) {
    people += 1;
    const person = await server.person(`reader${people}`);
    await person.users.follow(author.user.id);
    const context = await chromium.newContext();
    t.after(() => context.close());
    const open = async () => {
      const page = await context.newPage();
      const said = encodeURIComponent(JSON.stringify({ token: person.token, options }));
      await page.goto(`${nginx.base}/#${said}`);
      return page;
    };
    return { context, open };
  }

  const seen = (page) => page.evaluate(() => window.seen);
  const state = (page) => page.evaluate(() => ({ ...window.realtime.state, leading: window.realtime.leading }));
  const carriedBy = (page, transport) =>
    until(async () => (await state(page)).transport === transport && (await state(page)).status === "open", () => transport, 20_000);

  /** Publishes and waits until the pages have it. */
  async function hear(...open) {
    const post = await author.posts.create({ text: `for ${open.length} pages` });
    for (const page of open) {
      await until(async () => (await seen(page)).posts.includes(post.id), async () => JSON.stringify(await seen(page)), 15_000);
    }
    return post.id;
  }

  async function onceEach(page, expected) {
    const { posts } = await seen(page);
    assert.deepEqual(posts.filter((id) => expected.includes(id)), expected, "each once, in order");
  }

  const NETWORKS = [
    ["lets everything through", {}, ["websocket"]],
    ["buffers, and lets WebSocket through", { buffering: true }, ["websocket"]],
    ["refuses WebSocket", { upgrade: false }, ["sse"]],
    ["refuses WebSocket and buffers", { upgrade: false, buffering: true }, ["long_poll"]],
    ["refuses WebSocket, buffers, and cuts what waits", { upgrade: false, buffering: true, cutS: 1 }, ["long_poll", "short_poll"]],
  ];
  for (const [name, settings, carriers] of NETWORKS) {
    test(`behind a proxy that ${name} is carried by ${carriers.at(-1)}`, async (t) => {
      const nginx = await Nginx.start(t, server.base, files, settings);
      const { open } = await reader(t, nginx, { times });
      const page = await open();
      await carriedBy(page, carriers.at(-1));
      const expected = [await hear(page), await hear(page)];
      await onceEach(page, expected);
      assert.deepEqual((await seen(page)).transports, carriers);
    });
  }

  test("falls back when the proxy begins to refuse, and climbs back up when it lets it pass again", async (t) => {
    const nginx = await Nginx.start(t, server.base, files, {});
    const { open } = await reader(t, nginx, { times: climbing });
    const page = await open();
    await carriedBy(page, "websocket");
    const expected = [await hear(page)];
    await nginx.change({ upgrade: false });
    await carriedBy(page, "sse");
    expected.push(await hear(page));
    await nginx.change({ upgrade: false, buffering: true });
    await carriedBy(page, "long_poll");
    expected.push(await hear(page));
    await nginx.change({});
    await carriedBy(page, "websocket");
    expected.push(await hear(page));
    await onceEach(page, expected);
    assert.ok(!(await seen(page)).types.includes("reset"));
  });

  test("shares one connection with its other tabs, and hands it on when it is closed", async (t) => {
    const nginx = await Nginx.start(t, server.base, files, {});
    const { open } = await reader(t, nginx, { times });
    const first = await open();
    await carriedBy(first, "websocket");
    const second = await open();
    await carriedBy(second, "websocket");
    const leads = async () => (await Promise.all([first, second].map(state))).map((one) => one.leading);
    assert.deepEqual(await leads(), [true, false]);
    const sessions = async () => (await server.admin().admin.sessions({ limit: 100 })).items.length;
    const one = await sessions();
    const expected = [await hear(first, second)];
    await until(async () => (await sessions()) === one, "one session for two tabs");
    await second.evaluate(() => window.realtime.ping());
    await first.close();
    await until(async () => (await state(second)).leading, "the second tab to lead");
    expected.push(await hear(second));
    await onceEach(second, expected);
  });

  test("goes on after the network was away, from where it was", async (t) => {
    const nginx = await Nginx.start(t, server.base, files, {});
    const { context, open } = await reader(t, nginx, { times: climbing });
    const page = await open();
    await carriedBy(page, "websocket");
    const expected = [await hear(page)];
    await context.setOffline(true);
    // The proxy is what really takes the network away: browsers let open sockets live while they emulate.
    await nginx.stop();
    await until(async () => (await state(page)).status !== "open", "the page to notice");
    expected.push((await author.posts.create({ text: "while away" })).id);
    await nginx.start();
    await context.setOffline(false);
    await carriedBy(page, "websocket");
    expected.push(await hear(page));
    await onceEach(page, expected);
  });

  test("wakes from a sleep with what it missed", async (t) => {
    const nginx = await Nginx.start(t, server.base, files, {});
    const { context, open } = await reader(t, nginx, { times: climbing });
    const page = await open();
    await carriedBy(page, "websocket");
    const expected = [await hear(page)];
    const devtools = await context.newCDPSession(page);
    await devtools.send("Page.setWebLifecycleState", { state: "frozen" });
    await nginx.stop();
    expected.push((await author.posts.create({ text: "while asleep" })).id);
    await nginx.start();
    await devtools.send("Page.setWebLifecycleState", { state: "active" });
    await until(async () => (await seen(page)).posts.includes(expected.at(-1)), "what was missed", 15_000);
    await carriedBy(page, "websocket");
    expected.push(await hear(page));
    await onceEach(page, expected);
  });

  test("resumes after a reload when it keeps its place", async (t) => {
    const nginx = await Nginx.start(t, server.base, files, {});
    const { open } = await reader(t, nginx, { times });
    const page = await open();
    const restart = () =>
      page.evaluate(async () => {
        const { Client } = await import("/dist/index.js");
        window.realtime?.stop();
        const { token, options } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
        window.seen = { posts: [], states: [], transports: [], types: [] };
        window.realtime = new Client({ token }).connect({ ...options, storage: localStorage, tabs: false });
        window.realtime.on("feed.posts", (data) => window.seen.posts.push(...data.items.map((post) => post.id)));
        window.realtime.start();
      });
    await restart();
    await carriedBy(page, "websocket");
    const before = await hear(page);
    await page.evaluate(() => window.realtime.stop());
    await page.reload();
    const missed = (await author.posts.create({ text: "during the reload" })).id;
    await page.evaluate(() => window.realtime.stop());
    await restart();
    await until(async () => (await seen(page)).posts.includes(missed), "what was missed");
    // A resume goes back a few seconds: older posts that were never shown may come, what was shown does not come again.
    const { posts } = await seen(page);
    assert.deepEqual(posts.filter((id) => id === missed || id === before), [missed]);
  });
});
