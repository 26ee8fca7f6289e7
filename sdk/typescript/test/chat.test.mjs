// Single stories of conversations: what a reload keeps, who sends, what a failure looks like, what is let go.
import assert from "node:assert/strict";
import test from "node:test";
import { ConversationState } from "../dist/chat/conversation.js";
import { progress, reactedBy } from "../dist/chat/derive.js";
import { folderOf, MemoryStorage, pinnedFirst } from "../dist/chat/index.js";
import { REPEAT_MS, WAITING_MAX } from "../dist/chat/outbox.js";
import { BEHIND_MAX, Window, WINDOW_MAX } from "../dist/chat/window.js";
import { FanfareError } from "../dist/index.js";
import { ChatWorld, NO_FAULTS } from "./chat-world.mjs";

/** The person, Ann, and their direct conversation, in a network without faults. */
function world() {
  const made = new ChatWorld(1);
  made.faults = { ...NO_FAULTS };
  const ann = made.server.person("ann");
  const talk = made.server.make("direct", ann, [made.me]);
  const says = (text) => made.server.send(talk, ann, { client_id: `ann ${text}`, text });
  return Object.assign(made, { ann, talk, says, id: talk.id });
}

const words = ({ chat }, id) => chat.lines(id).map(({ message, outgoing }) => message?.text ?? outgoing.message.text);
const ways = ({ chat }, id) => chat.lines(id).map(({ state }) => state);
/** Sends that the server got, with repeats. */
const asked = (tab) => tab.asked.filter(({ method, url }) => method === "POST" && url.endsWith("/messages")).map(({ body }) => body.client_id);

test("a message goes its way: queued, sending, sent, delivered, read", async () => {
  const w = world();
  const tab = await w.tab();
  await w.clock.pass(1_000);
  const seen = new Set();
  tab.chat.onChange(() => ways(tab, w.id).forEach((way) => seen.add(way)));
  tab.chat.open(w.id);
  await w.clock.pass(1_000);
  tab.chat.send(w.id, "hello");
  await w.clock.pass(1_000);
  w.server.mark(w.talk, w.ann, "delivered", 1);
  await w.clock.pass(1_000);
  w.server.mark(w.talk, w.ann, "read", 1);
  await w.clock.pass(1_000);
  assert.deepEqual([...seen], ["queued", "sending", "sent", "delivered", "read"]);
  assert.deepEqual(words(tab, w.id), ["hello"]);
});

test("a line keeps its key and stands once when its answer and its frame come in either order", async () => {
  const w = world();
  const tab = await w.tab();
  await w.clock.pass(1_000);
  tab.chat.open(w.id);
  const keys = new Set();
  tab.chat.onChange(() => tab.chat.lines(w.id).forEach(({ key }) => keys.add(key)));
  for (let count = 0; count < 9; count += 1) tab.chat.send(w.id, `text ${count}`);
  await w.clock.pass(10_000);
  assert.equal(keys.size, 9);
  assert.deepEqual(words(tab, w.id), [...Array(9).keys()].map((count) => `text ${count}`));
  assert.equal(new Set(asked(tab)).size, asked(tab).length, "nothing was sent twice");
});

test("one send is in flight a conversation, and those of other conversations do not wait for it", async () => {
  const w = world();
  const other = w.server.make("group", w.me, [w.ann], "others");
  const tab = await w.tab();
  await w.clock.pass(1_000);
  tab.faults = { lost: new Set([w.id]) };
  tab.chat.send(w.id, "first");
  tab.chat.send(w.id, "second");
  tab.chat.send(other.id, "elsewhere");
  await w.clock.pass(20_000);
  assert.deepEqual(w.talk.messages, []);
  assert.equal(other.messages.at(-1).text, "elsewhere");
  assert.equal(new Set(asked(tab)).size, 2, "the second waits for the first");
  assert.deepEqual(ways(tab, w.id), ["sending", "queued"]);
  tab.faults = null;
  await w.clock.pass(60_000);
  assert.deepEqual(w.talk.messages.map(({ text }) => text), ["first", "second"]);
});

test("a reload sends again with the same client_id what has no answer, and shows the last state before the network does", async () => {
  const w = world();
  w.says("before");
  const tab = await w.tab();
  tab.chat.open(w.id);
  await w.clock.pass(2_000);
  Object.assign(w.faults, { unanswered: 1, dropped: 1 });
  tab.chat.send(w.id, "did it come?");
  await w.clock.pass(200);
  assert.equal(w.talk.messages.length, 2, "it came, and nobody knows");
  w.crash(tab);
  w.faults.lost = 1;
  const next = await w.tab();
  assert.deepEqual(words(next, w.id), ["before", "did it come?"]);
  assert.deepEqual(ways(next, w.id), [null, "sending"]);
  assert.equal(next.chat.conversation(w.id).last_message.text, "before");
  w.faults = { ...NO_FAULTS };
  next.chat.open(w.id);
  await w.clock.pass(60_000);
  assert.deepEqual(ways(next, w.id), [null, "sent"]);
  assert.equal(w.talk.messages.length, 2);
});

test("a refusal fails the message alone; trying again is another message, at the end", async () => {
  const w = world();
  const tab = await w.tab();
  await w.clock.pass(1_000);
  const refused = tab.chat.send(w.id, "refuse this");
  tab.chat.send(w.id, "the next");
  await w.clock.pass(2_000);
  tab.chat.open(w.id);
  await w.clock.pass(2_000);
  assert.deepEqual(words(tab, w.id), ["the next", "refuse this"]);
  const failed = tab.chat.lines(w.id).at(-1);
  assert.deepEqual([failed.state, failed.outgoing.problem.code], ["failed", "forbidden"]);
  assert.equal(tab.chat.retry("another"), null);
  const again = tab.chat.retry(refused.message.client_id);
  assert.notEqual(again.message.client_id, refused.message.client_id);
  await w.clock.pass(2_000);
  assert.deepEqual(ways(tab, w.id), ["sent", "failed"]);
  assert.equal(tab.chat.discard(again.message.client_id), true);
  assert.deepEqual(words(tab, w.id), ["the next"]);
  await w.clock.pass(10);
  const { outbox } = await w.storage.load();
  assert.deepEqual(outbox, []);
});

test("after six days without an answer a message is not sent again: nobody would know it for a repeat", async () => {
  const w = world();
  const tab = await w.tab();
  await w.clock.pass(1_000);
  Object.assign(w.faults, { unanswered: 1, dropped: 1 });
  tab.chat.send(w.id, "old");
  await w.clock.pass(300);
  w.crash(tab);
  await w.clock.sleep(REPEAT_MS + 1_000);
  w.faults = { ...NO_FAULTS, lost: 1 };
  const next = await w.tab();
  await w.clock.pass(0);
  const [line] = next.chat.lines(w.id).filter(({ outgoing }) => outgoing);
  assert.deepEqual([line.state, line.outgoing.problem.code], ["failed", "outcome_unknown"]);
  assert.deepEqual(asked(next), []);
  // It was there after all, and the failure goes when it is seen.
  w.faults.lost = 0;
  next.chat.open(w.id);
  await w.clock.pass(5_000);
  assert.deepEqual(ways(next, w.id), ["sent"]);
});

test("of two tabs one sends, for both; when it is gone the other goes on", async () => {
  const w = world();
  const [one, two] = [await w.tab(), await w.tab()];
  await w.clock.pass(1_000);
  two.chat.open(w.id);
  one.chat.open(w.id);
  two.chat.send(w.id, "from the second");
  await w.clock.pass(2_000);
  assert.deepEqual([asked(one).length, asked(two).length], [1, 0]);
  assert.deepEqual([words(one, w.id), ways(two, w.id)], [["from the second"], ["sent"]]);
  w.disconnect(one);
  two.chat.send(w.id, "waits for the first");
  await w.clock.pass(5_000);
  assert.deepEqual(ways(two, w.id), ["sent", "sending"]);
  w.crash(one);
  await w.clock.pass(60_000);
  assert.deepEqual(ways(two, w.id), ["sent", "sent"]);
  assert.deepEqual(w.talk.messages.map(({ text }) => text), ["from the second", "waits for the first"]);
});

test("a hole is read before what is behind it is shown", async () => {
  const w = world();
  const tab = await w.tab();
  tab.chat.open(w.id);
  w.says("one");
  await w.clock.pass(5_000);
  w.faults.dropped = 1;
  for (const text of ["two", "three"]) w.says(text);
  w.faults.dropped = 0;
  const shown = new Set();
  tab.chat.onChange(() => shown.add(words(tab, w.id).join()));
  w.says("four");
  await w.clock.pass(90);
  assert.ok(![...shown].some((text) => text.includes("four")));
  await w.clock.pass(1_000);
  assert.deepEqual(words(tab, w.id), ["one", "two", "three", "four"]);
  // The same with changes: the edit that was missed comes before the one that was told.
  w.faults.dropped = 1;
  w.server.edit(w.talk, w.talk.messages[0], "one v1");
  w.faults.dropped = 0;
  w.server.edit(w.talk, w.talk.messages[1], "two v1");
  await w.clock.pass(1_000);
  assert.deepEqual(words(tab, w.id), ["one v1", "two v1", "three", "four"]);
});

test("what was not seen for long is read anew: the newest page, in place of the old", async () => {
  const w = world();
  w.says("old");
  const tab = await w.tab();
  tab.chat.open(w.id);
  await w.clock.pass(5_000);
  w.disconnect(tab);
  for (let count = 0; count <= BEHIND_MAX; count += 1) w.says(`text ${count}`);
  w.connect(tab);
  await w.clock.pass(5_000);
  assert.equal(words(tab, w.id).at(-1), `text ${BEHIND_MAX}`);
  assert.ok(words(tab, w.id).length <= 100);
  const pages = tab.asked.filter(({ url }) => url.includes("/messages")).length;
  assert.ok(pages < 5, `${pages} pages`);
  // Changes that the server does not tell any more: the same.
  w.server.changesKept = 1;
  w.disconnect(tab);
  const edited = w.talk.messages.at(-2);
  for (const text of ["v1", "v2", "v3"]) w.server.edit(w.talk, edited, `again ${text}`);
  w.connect(tab);
  await w.clock.pass(5_000);
  assert.equal(words(tab, w.id).at(-2), "again v3");
});

test("older messages come page by page, and the newest are found again", async () => {
  const w = world();
  for (let count = 1; count <= 130; count += 1) w.says(`text ${count}`);
  const tab = await w.tab();
  await w.clock.pass(1_000);
  const close = tab.chat.open(w.id);
  await w.clock.pass(1_000);
  assert.deepEqual([words(tab, w.id)[0], words(tab, w.id).length], ["text 80", 51], "the newest came with the list");
  const older = async () => {
    const read = tab.chat.older(w.id);
    await w.clock.pass(1_000);
    return read;
  };
  assert.deepEqual([await older(), await older(), await older()], [true, false, false]);
  assert.equal(words(tab, w.id).length, 130);
  close();
  assert.equal(words(tab, w.id).length, 50, "what nobody looks at is let go");
});

test("a log-out forgets everything; a person who was removed keeps nothing, unless the page wants it", async () => {
  const w = world();
  const group = w.server.make("group", w.ann, [w.me], "many");
  const [tab, keeps] = [await w.tab(), await w.tab({ storage: new MemoryStorage(), browser: null, keepLeft: true })];
  for (const one of [tab, keeps]) one.chat.open(group.id);
  await w.clock.pass(2_000);
  w.server.send(group, w.ann, { client_id: "x", text: "a word" });
  await w.clock.pass(2_000);
  w.server.remove(group, w.ann, w.me);
  await w.clock.pass(5_000);
  assert.deepEqual([tab.chat.conversation(group.id), words(tab, group.id)], [null, []]);
  assert.deepEqual([keeps.chat.conversation(group.id).left, words(keeps, group.id)], [true, ["", "a word"]]);
  tab.chat.send(w.id, "kept");
  w.disconnect(tab);
  await w.clock.pass(2_000);
  assert.equal((await w.storage.load()).conversations.length, 1);
  tab.client.setToken(null);
  await w.clock.pass(2_000);
  assert.deepEqual(await w.storage.load(), { cursor: null, conversations: [], outbox: [] });
  assert.deepEqual([tab.chat.conversations, words(tab, w.id)], [[], []]);
});

test("what one device hides goes from the others too, until something new comes; who looks at it keeps it", async () => {
  const w = world();
  const made = { storage: new MemoryStorage(), browser: null };
  const [tab, other, looking] = [await w.tab(), await w.tab(made), await w.tab({ ...made, storage: new MemoryStorage() })];
  w.says("hello");
  await w.clock.pass(1_000);
  const close = looking.chat.open(w.id);
  await w.clock.pass(1_000);
  const lists = () => [tab, other, looking].map(({ chat }) => chat.conversations.length);
  assert.deepEqual(lists(), [1, 1, 1]);
  w.disconnect(other);
  void tab.chat.hide(w.id);
  await w.clock.pass(1_000);
  w.connect(other);
  await w.clock.pass(3_000);
  assert.deepEqual(lists(), [0, 0, 1]);
  assert.deepEqual(words(looking, w.id), ["hello"]);
  // One that is hidden can be opened all the same.
  const leave = other.chat.open(w.id);
  await w.clock.pass(2_000);
  assert.deepEqual(words(other, w.id), ["hello"]);
  for (const done of [close, leave]) done();
  await w.clock.pass(2_000);
  assert.deepEqual(lists(), [0, 0, 0], "nobody looks any more");
  w.says("again");
  await w.clock.pass(3_000);
  assert.deepEqual(lists(), [1, 1, 1]);
  assert.deepEqual(words(tab, w.id).slice(-1), ["again"]);
});

test("a hidden conversation that is looked at comes back with a message that was read behind a lost frame", async () => {
  const w = world();
  const tab = await w.tab();
  w.says("hello");
  await w.clock.pass(1_000);
  tab.chat.open(w.id);
  w.server.hide(w.talk, w.me);
  await w.clock.pass(2_000);
  assert.equal(tab.chat.conversation(w.id).hidden, true);
  w.faults = { ...NO_FAULTS, dropped: 1 };
  w.says("lost");
  w.faults = NO_FAULTS;
  w.says("behind it");
  await w.clock.pass(5_000);
  assert.deepEqual(words(tab, w.id), ["hello", "lost", "behind it"]);
  assert.equal(tab.chat.conversation(w.id).hidden ?? false, false);
});

test("the unread number follows messages, reading here, and reading elsewhere", async () => {
  const w = world();
  const tab = await w.tab();
  await w.clock.pass(1_000);
  const count = () => [tab.chat.conversation(w.id).unread_count, tab.chat.unread.messages, tab.chat.unread.conversations];
  for (const text of ["one", "two", "three"]) {
    w.says(text);
    await w.clock.pass(100);
  }
  assert.deepEqual(count(), [3, 3, 1]);
  tab.chat.markRead(w.id, 1);
  assert.deepEqual(count(), [2, 2, 1], "at once");
  await w.clock.pass(1_000);
  assert.equal(w.talk.members.get(w.me).read, 1);
  tab.chat.markRead(w.id, 99);
  await w.clock.pass(1_000);
  assert.deepEqual([...count(), w.talk.members.get(w.me).read], [0, 0, 0, 3], "no further than the last");
  w.says("four");
  await w.clock.pass(1_000);
  w.server.mark(w.talk, w.me, "read", 4);
  await w.clock.pass(1_000);
  assert.deepEqual(count(), [0, 0, 0]);
});

test("a read mark that could not be told is told after a reload", async () => {
  const w = world();
  w.says("one");
  const tab = await w.tab();
  await w.clock.pass(2_000);
  w.disconnect(tab);
  tab.chat.markRead(w.id);
  await w.clock.pass(2_000);
  assert.equal(w.talk.members.get(w.me).read, 0);
  w.crash(tab);
  const next = await w.tab();
  assert.equal(next.chat.conversation(w.id).unread_count, 0);
  await w.clock.pass(5_000);
  assert.equal(w.talk.members.get(w.me).read, 1);
});

test("who writes is shown until the message comes, or for six seconds; it is told every three", async () => {
  const w = world();
  const tab = await w.tab();
  await w.clock.pass(1_000);
  const writes = () => w.server.frame(w.talk, { type: "typing", data: { conversation_id: w.id, user_id: w.ann } });
  writes();
  await w.clock.pass(1_000);
  assert.deepEqual(tab.chat.typers(w.id), [w.ann]);
  w.says("done");
  await w.clock.pass(1_000);
  assert.deepEqual(tab.chat.typers(w.id), []);
  writes();
  await w.clock.pass(7_000);
  assert.deepEqual(tab.chat.typers(w.id), []);
  for (let ms = 0; ms < 7_000; ms += 500) {
    tab.chat.typing(w.id);
    await w.clock.pass(500);
  }
  assert.deepEqual(tab.frames.map(({ type }) => type), ["typing", "typing", "typing"]);
});

test("an outbox is bounded, and a storage that fails stops no message", async () => {
  const w = world();
  const broken = { load: async () => Promise.reject(new Error("no")), save: async () => Promise.reject(new Error("full")), clear: async () => {} };
  const tab = await w.tab({ storage: broken, browser: null });
  await w.clock.pass(1_000);
  tab.chat.send(w.id, "all the same");
  await w.clock.pass(1_000);
  assert.equal(w.talk.messages[0].text, "all the same");
  assert.ok(w.errors.length > 0);
  w.disconnect(tab);
  for (let count = 0; count < WAITING_MAX; count += 1) tab.chat.send(w.id, `${count}`);
  assert.throws(() => tab.chat.send(w.id, "too many"), FanfareError);
});

test("a window stays bounded at both ends", () => {
  const message = (seq) => ({ seq, id: `${seq}`, sender: { id: "1" }, reactions: [], mentions: [], text: "", recalled: false });
  const page = (from, to, last) => {
    const items = [...Array(to - from + 1).keys()].map((at) => message(from + at));
    return { items, last_seq: last, change_seq: 0, visible_from: 1 };
  };
  const window = new Window("1");
  window.replace(page(3_001, 3_100, 3_100));
  for (let seq = 3_101; seq <= 3_100 + WINDOW_MAX; seq += 1) window.push(message(seq));
  assert.deepEqual([window.messages.length, window.from], [WINDOW_MAX, 3_101]);
  assert.equal(window.pageRead(page(3_051, 3_100, 5_100)), true);
  assert.deepEqual([window.messages.length, window.to, window.following], [WINDOW_MAX, 5_050, false]);
  assert.equal(window.hole(), null, "who looks at an old part is left there");
  window.following = true;
  assert.deepEqual(window.hole(), { kind: "after", after: 5_050 });
  assert.equal(window.pageRead(page(1, 10, 5_100)), false, "a page that does not touch");
});

test("of a conversation that nobody looks at, a hole costs one reading and no messages", () => {
  const told = { id: "7", last_seq: 5, change_seq: 2, read_seq: 5, unread_count: 0, mention_count: 0, visible_from: 1, personal: {}, member_count: 2 };
  const state = new ConversationState("1", told, 1);
  assert.equal(state.wants(), null);
  state.pushed({ seq: 9, sender: { id: "2" }, mentions: [], reactions: [], kind: "text" });
  const want = state.wants();
  assert.deepEqual(want, { kind: "conversation" });
  state.reads(want);
  state.told({ ...told, last_seq: 9, unread_count: 4 }, 2);
  assert.deepEqual([state.wants(), state.view.unread_count], [null, 4]);
  // An answer to an older question than the one before it changes nothing, and is asked again.
  state.told({ ...told, title: "old" }, 1);
  assert.deepEqual([state.view.title, state.wants()], [undefined, { kind: "conversation" }]);
});

test("reactions of the person are known from a frame, or asked for", () => {
  const of = (count, user_ids, mine) => [{ emoji: "x", count, user_ids, ...(mine === undefined ? {} : { mine }) }];
  const result = (before, now, covered = 1) => {
    const { reactions, unsure } = reactedBy(before, now, "me", covered);
    return [reactions[0].mine, unsure];
  };
  assert.deepEqual(result([], of(1, ["me"])), [true, false]);
  assert.deepEqual(result(of(1, ["me"], true), of(1, ["a"])), [false, false]);
  assert.deepEqual(result(of(9, ["a"], true), of(10, ["b"])), [true, false], "one more, who is not me");
  assert.deepEqual(result(of(9, ["a"], true), of(8, ["a"])), [true, true], "one less: perhaps me, elsewhere");
  assert.deepEqual(result(of(9, ["a"], false), of(8, ["a"])), [false, false]);
  assert.deepEqual(result(of(9, ["a"], false), of(11, ["b"]), 3), [false, true], "several at once");
});

test("a list has pinned ones first, and folders", () => {
  const one = (id, personal, more = {}) => ({ id, personal, is_request: false, ...more });
  const list = [one("a", {}), one("b", { pinned: true }), one("c", { archived: true }), one("d", {}, { is_request: true })];
  assert.deepEqual(pinnedFirst(list).map(({ id }) => id), ["b", "a", "c", "d"]);
  assert.deepEqual(list.map(folderOf), ["inbox", "inbox", "archived", "requests"]);
  assert.equal(progress({ seq: 1, sender: { id: "me" } }, []), "sent", "nobody else is there");
});
