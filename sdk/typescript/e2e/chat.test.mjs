// Conversations against the real server: from Node through kills of the server, and in Chromium through reloads and tabs.
import assert from "node:assert/strict";
import { test as unbounded } from "node:test";
import { Chat } from "../dist/chat/index.js";
import { browser, pages, Server, until } from "./harness.mjs";

const times = { backoffMs: 50, backoffMaxMs: 300 };

/** A test that ends. */
const test = (name, body) => unbounded(name, { timeout: 120_000 }, body);

/** A person with a chat that runs. */
async function person(t, server, handle, options = {}) {
  const client = await server.person(handle);
  const realtime = client.connect({ times }).start();
  const chat = new Chat(client, realtime, { me: client.user.id, ...options });
  t.after(async () => {
    await chat.stop();
    realtime.stop();
  });
  await realtime.opened();
  await chat.start();
  return Object.assign(client, { chat });
}

const texts = ({ chat }, id) => chat.lines(id).map(({ message, outgoing }) => message?.text ?? outgoing.message.text);
const ways = ({ chat }, id) => chat.lines(id).map(({ state }) => state);

/** What a chat shows of a conversation is what the server answers. */
async function compare({ chat, conversations }, id) {
  const [told, page] = [await conversations.get(id), await conversations.messages(id, { limit: 100 })];
  assert.deepEqual(chat.conversation(id), told);
  const shown = chat.lines(id).map(({ message }) => message);
  assert.deepEqual(shown, page.items.reverse().slice(-shown.length));
  assert.deepEqual(chat.members(id), await conversations.members(id).take(100));
}

test("a picture in a message is for who sees it, and its address is made anew when it ends", async (t) => {
  const server = await Server.start(t);
  const [ann, bob] = [await person(t, server, "ann"), await person(t, server, "bob")];
  const { id } = await ann.chat.create({ kind: "direct", member_ids: [bob.user.id] });
  bob.chat.open(id);
  const media = await ann.media.upload(new Blob(["words"]), { filename: "words.txt", purpose: "message" });
  ann.chat.send(id, { kind: "file", media_id: media.id, text: "read this" });
  const shown = () => bob.chat.lines(id)[0]?.message;
  await until(() => shown()?.attachment, "the file");
  assert.equal(shown().attachment.filename, "words.txt");
  const ended = { ...shown(), attachment: { ...shown().attachment, url: "", expires_at: new Date(0).toISOString() } };
  for (const message of [shown(), ended]) {
    const { url } = await bob.conversations.attachment(message);
    const answer = await fetch(bob.media.url(url));
    assert.deepEqual([answer.status, await answer.text()], [200, "words"]);
    assert.equal((await fetch(bob.media.url(url).split("?")[0])).status, 404);
  }
  await ann.conversations.recall(id, 1);
  assert.equal(await bob.conversations.attachment(ended), null);
});

test("two people talk: messages, marks, changes and numbers arrive, and equal what the server answers", async (t) => {
  const server = await Server.start(t);
  const [ann, bob] = [await person(t, server, "ann"), await person(t, server, "bob")];
  const { id } = await ann.chat.create({ kind: "direct", member_ids: [bob.user.id] });
  assert.equal((await bob.chat.create({ kind: "direct", member_ids: [ann.user.id] })).id, id, "a pair has one");
  ann.chat.open(id);
  bob.chat.open(id);
  ann.chat.send(id, "hello @bob");
  await until(() => texts(bob, id).join() === "hello @bob", () => `${texts(bob, id)}`);
  await until(() => ways(ann, id).join() === "delivered", () => `${ways(ann, id)}`);
  assert.deepEqual([bob.chat.unread.messages, bob.chat.unread.mentions, bob.chat.conversation(id).unread_count], [1, 1, 1]);
  bob.chat.markRead(id);
  await until(() => ways(ann, id).join() === "read", () => `${ways(ann, id)}`);
  bob.chat.send(id, { text: "hi", reply_to: 1 });
  await until(() => texts(ann, id).length === 2, "the answer");
  await ann.conversations.edit(id, 1, "hello again");
  await bob.conversations.react(id, 1, "👍");
  const seen = () => bob.chat.lines(id)[0].message;
  await until(() => seen().text === "hello again" && seen().reactions[0]?.mine, () => JSON.stringify(seen()));
  assert.equal(bob.chat.lines(id)[1].message.reply_to.text, "hello again");
  await ann.conversations.recall(id, 1);
  await until(() => seen().recalled, "the recall");
  assert.equal(bob.chat.lines(id)[1].message.reply_to.recalled, true);
  bob.chat.typing(id);
  await until(() => ann.chat.typers(id).length === 1, "the sign of writing");
  await ann.chat.setPersonal(id, { pinned: true, draft: "later" });
  await until(() => ann.chat.conversation(id).personal.draft === "later", "the draft");
  for (const one of [ann, bob]) {
    await until(() => compare(one, id).then(() => true, () => false), () => `${one.user.handle}: ${JSON.stringify(one.chat.conversation(id))}`);
    await compare(one, id);
  }
  const blank = ann.chat.send(id, "   ");
  await until(() => ways(ann, id).at(-1) === "failed", () => `${ways(ann, id)}`);
  assert.equal(ann.chat.lines(id).at(-1).outgoing.problem.code, "validation_failed");
  assert.equal(ann.chat.discard(blank.message.client_id), true);
});

test("a group grows and shrinks before everybody's eyes", async (t) => {
  const server = await Server.start(t);
  const [ann, bob, eve] = [await person(t, server, "ann"), await person(t, server, "bob"), await person(t, server, "eve")];
  const { id } = await ann.chat.create({ kind: "group", member_ids: [bob.user.id], title: "engines" });
  await until(() => bob.chat.conversation(id)?.title === "engines", "the group to be known");
  bob.chat.open(id);
  ann.chat.open(id);
  ann.chat.send(id, "before eve");
  await until(() => texts(bob, id).includes("before eve"), () => `${texts(bob, id)}`);
  await ann.conversations.addMember(id, eve.user.id);
  await until(() => bob.chat.members(id)?.length === 3 && eve.chat.conversation(id), "the new member");
  eve.chat.open(id);
  ann.chat.send(id, "welcome");
  await until(() => texts(eve, id).includes("welcome"), () => `${texts(eve, id)}`);
  assert.ok(!texts(eve, id).includes("before eve"), "history begins with the joining");
  await ann.conversations.update(id, { title: "analytical engines" });
  await until(() => eve.chat.conversation(id).title === "analytical engines", "the new title");
  for (const one of [ann, bob, eve]) {
    await until(() => compare(one, id).then(() => true, () => false), () => one.user.handle);
    await compare(one, id);
  }
  await ann.conversations.removeMember(id, eve.user.id);
  await until(() => eve.chat.conversation(id) === null, "the removed one to know");
  assert.deepEqual(texts(eve, id), []);
  await until(() => bob.chat.members(id).length === 2, "the others to know");
});

test("while the server is killed again and again nothing is lost, doubled or out of order", async (t) => {
  const server = await Server.start(t);
  const [ann, bob] = [await person(t, server, "ann"), await person(t, server, "bob")];
  const { id } = await ann.chat.create({ kind: "direct", member_ids: [bob.user.id] });
  ann.chat.open(id);
  bob.chat.open(id);
  await until(() => ann.chat.members(id) && bob.chat.members(id), "both to look at it from its beginning");
  const sent = [];
  for (let round = 0; round < 4; round += 1) {
    for (let count = 0; count < 25; count += 1) {
      const from = count % 2 ? ann : bob;
      sent.push([from, `${from.user.handle} ${sent.length}`]);
      from.chat.send(id, sent.at(-1)[1]);
    }
    await until(() => texts(ann, id).length > round * 25, "some to be under way");
    await server.kill();
    await server.start();
  }
  // Whoever comes late to a long talk sees its newest page first.
  for (const one of [ann, bob]) while (await one.chat.older(id));
  const whole = (one) => ways(one, id).filter((state) => state === "queued" || state === "sending").length === 0;
  await until(() => [ann, bob].every((one) => texts(one, id).length === sent.length && whole(one)), () => `${texts(ann, id).length} and ${texts(bob, id).length} of ${sent.length}`, 60_000);
  assert.deepEqual(texts(ann, id), texts(bob, id));
  for (const from of [ann, bob]) {
    const own = sent.filter(([sender]) => sender === from).map(([, text]) => text);
    assert.deepEqual(texts(ann, id).filter((text) => own.includes(text)), own, "each once, in the order of writing");
  }
  for (const one of [ann, bob]) {
    await until(() => compare(one, id).then(() => true, () => false), () => one.user.handle);
    await compare(one, id);
  }
});

/** A chat in a page, kept in the browser's database. */
async function open(context, base, server, { user, token }) {
  const page = await context.newPage();
  const begin = async () => {
    // Any document of the origin will do.
    await page.goto(`${base}/dist/index.js`);
    await page.evaluate(
      async ({ baseUrl, token, me }) => {
        const { Client } = await import("/dist/index.js");
        const { Chat, indexedDb } = await import("/dist/chat/index.js");
        const client = new Client({ baseUrl, token });
        let asked = 0;
        const ask = globalThis.fetch;
        globalThis.fetch = (url, init) => {
          if (init?.method === "POST" && String(url).endsWith("/messages")) asked += 1;
          return ask(url, init);
        };
        const realtime = client.connect({ tabs: me, times: { backoffMs: 50, backoffMaxMs: 300 } }).start();
        const chat = new Chat(client, realtime, { me, storage: indexedDb });
        await chat.start();
        window.chat = chat;
        window.lines = (id) => chat.lines(id).map(({ message, outgoing, state }) => [message?.text ?? outgoing.message.text, state]);
        window.asked = () => asked;
      },
      { baseUrl: server.base, token, me: user.id },
    );
  };
  await begin();
  const lines = (id) => page.evaluate((of) => window.lines(of), id);
  return { page, begin, lines };
}

test("in a page: a reload without a server shows the last state, and sends what waited once; of two tabs one sends", async (t) => {
  const base = await pages(t);
  const server = await Server.start(t, { FANFARE__HTTP__CORS_ORIGINS: base });
  const [ann, bob] = [await server.person("ann"), await server.person("bob")];
  const { id } = await ann.conversations.create({ kind: "direct", member_ids: [bob.user.id] });
  await bob.conversations.send(id, { client_id: "1", kind: "text", text: "hello" });
  const context = await (await browser(t)).newContext();
  const one = await open(context, base, server, ann);
  const show = (tab) => tab.page.evaluate((of) => void window.chat.open(of), id);
  await show(one);
  await until(async () => (await one.lines(id)).length === 1, "the message");
  // The write is at most half a second late.
  await until(() => one.page.evaluate(kept, { id, name: "fanfare-chat:" }), "the message to be kept");
  await server.kill();
  await one.page.evaluate((of) => void window.chat.send(of, "while it was away"), id);
  await until(async () => (await one.lines(id)).at(-1)[1] === "sending", "a try");
  await one.begin();
  assert.deepEqual(await one.lines(id), [["hello", null], ["while it was away", "sending"]]);
  await show(one);
  await server.start();
  await until(async () => (await one.lines(id)).at(-1)[1] === "sent", async () => JSON.stringify(await one.lines(id)), 40_000);

  const two = await open(context, base, server, ann);
  await show(two);
  await two.page.evaluate((of) => void window.chat.send(of, "from the second tab"), id);
  const last = async (tab) => (await tab.lines(id)).at(-1).join();
  for (const tab of [one, two]) await until(async () => (await last(tab)) === "from the second tab,sent", () => last(tab));
  assert.equal(await two.page.evaluate(() => window.asked()), 0, "the first tab sends");
  await one.page.close();
  await two.page.evaluate((of) => void window.chat.send(of, "alone"), id);
  await until(async () => (await last(two)) === "alone,sent", () => last(two));
  const { items } = await bob.conversations.messages(id);
  assert.deepEqual(items.map(({ text }) => text).reverse(), ["hello", "while it was away", "from the second tab", "alone"]);
  // A log-out forgets.
  await two.page.evaluate(() => window.chat.stop({ forget: true }));
  assert.equal(await two.page.evaluate(kept, { id, name: "fanfare-chat:" }), false);
});

/** Whether the database of this page holds a message of the conversation. Runs in the page. */
async function kept({ id, name }) {
  const found = (await indexedDB.databases()).find((one) => one.name.startsWith(name));
  if (!found) return false;
  const done = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const database = await done(indexedDB.open(found.name));
  const entry = await done(database.transaction("conversations").objectStore("conversations").get(id));
  database.close();
  return (entry?.window.messages.length ?? 0) > 0;
}
