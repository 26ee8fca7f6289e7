// Devices of one person in a bad network: requests and answers that get lost, frames that come twice, late or never,
// reloads, several tabs. What each shows is checked at every change, and compared with the server at the end.
import assert from "node:assert/strict";
import { Chat, MemoryStorage } from "../dist/chat/index.js";
import { Client, NetworkError } from "../dist/index.js";
import { ChatServer, problem } from "./chat-server.mjs";
import { FakeClock, seeded, settle } from "./fakes.mjs";
import { FakeBrowser } from "./fake-browser.mjs";

export const NO_FAULTS = { lost: 0, unanswered: 0, busy: 0, doubled: 0, dropped: 0, late: 0 };
const FAULTS = { lost: 0.1, unanswered: 0.1, busy: 0.1, doubled: 0.15, dropped: 0.1, late: 0.15 };

export class ChatWorld {
  clock = new FakeClock();
  server = new ChatServer();
  faults = { ...FAULTS };
  storage = new MemoryStorage();
  browser = new FakeBrowser();
  tabs = [];
  errors = [];
  constructor(seed) {
    this.random = seeded(seed);
    this.clock.random = this.random;
    this.me = this.server.person("me");
  }

  chance(p) {
    return this.random() < p;
  }
  pick(items) {
    return items[Math.floor(this.random() * items.length)];
  }
  /** A time on the way, mostly short. */
  way() {
    return 5 + this.random() * (this.chance(this.faults.late) ? 3_000 : 60);
  }
  wait(ms) {
    return new Promise((resolve) => this.clock.after(ms, resolve));
  }

  /** The network between one tab and the server. */
  fetch(tab) {
    return async (url, init) => {
      const body = init.body ? JSON.parse(init.body) : undefined;
      tab.asked.push({ method: init.method, url, body });
      await this.wait(this.way());
      if (tab.gone) return new Promise(() => {});
      const cut = [...(tab.faults?.lost ?? [])].some((id) => url.includes(`/${id}/`));
      if (tab.offline || cut || this.chance(this.faults.lost)) throw new NetworkError("lost on the way");
      const busy = this.chance(this.faults.busy);
      if (busy && this.chance(0.5)) return response(problem(503, "overloaded"));
      const answer = structuredClone(this.server.ask(this.me, init.method, url, body));
      await this.wait(this.way());
      if (tab.gone) return new Promise(() => {});
      if (this.chance(this.faults.unanswered)) throw new NetworkError("the answer was lost");
      return response(busy ? problem(503, "outcome_unknown") : answer);
    };
  }

  /** Opens a tab, or another device with a storage of its own. */
  async tab({ storage = this.storage, browser = this.browser, keepLeft = false } = {}) {
    const tab = { gone: false, offline: false, listeners: new Map(), states: new Set(), open: new Map(), asked: [], frames: [] };
    const client = new Client({ baseUrl: "http://fanfare.test", token: "t", clock: this.clock, fetch: this.fetch(tab), retries: 0 });
    tab.platform = browser?.platform() ?? null;
    const seams = { tabs: tab.platform };
    const onError = (error) => this.errors.push(error);
    tab.chat = new Chat(client, realtimeOf(tab), { me: this.me, storage: () => untilGone(tab, storage), keepLeft, onError }, seams);
    tab.client = client;
    tab.check = new Check(tab.chat, this.me);
    tab.chat.onChange((id) => id && tab.check.look(id));
    this.tabs.push(tab);
    this.connect(tab);
    await tab.chat.start();
    return tab;
  }

  /** Frames flow to a tab from now on. */
  connect(tab) {
    tab.hangUp?.();
    tab.offline = false;
    const hear = (frame) => {
      if (this.chance(this.faults.dropped)) return;
      for (let times = this.chance(this.faults.doubled) ? 2 : 1; times > 0; times -= 1) {
        this.clock.after(this.way(), () => {
          if (tab.gone || tab.hangUp !== hangUp) return;
          for (const listener of tab.listeners.get(frame.type) ?? []) listener(structuredClone(frame.data), {});
        });
      }
    };
    const off = this.server.session(this.me, hear);
    const hangUp = () => off();
    tab.hangUp = hangUp;
    for (const listener of tab.states) listener({ status: "open", transport: "websocket" });
    for (const listener of tab.listeners.get("hello") ?? []) listener({ resumed: false }, {});
  }

  disconnect(tab) {
    tab.hangUp?.();
    tab.hangUp = null;
    tab.offline = true;
    for (const listener of tab.states) listener({ status: "waiting", transport: null });
  }

  /** The tab ends without a word, as a crash has it. */
  crash(tab) {
    tab.gone = true;
    tab.hangUp?.();
    this.tabs.splice(this.tabs.indexOf(tab), 1);
    if (tab.platform) this.browser.crash(tab.platform);
  }

  show(tab, id) {
    if (!tab.open.has(id)) tab.open.set(id, tab.chat.open(id));
  }
  hide(tab, id) {
    tab.open.get(id)?.();
    tab.open.delete(id);
  }

  /** Everything works again, and every tab is connected anew; then time passes until nothing is under way. */
  async heal() {
    this.faults = { ...NO_FAULTS };
    for (const tab of this.tabs) {
      this.disconnect(tab);
      this.connect(tab);
    }
    for (let turn = 0; turn < 60; turn += 1) await this.clock.pass(2_000);
    await settle();
  }

  /** Compares what a tab shows with what the server says. */
  compare(tab, why) {
    const { chat } = tab;
    const told = this.server.list(this.me);
    // What was hidden elsewhere stays for whoever looks at it.
    const hidden = chat.conversations.filter((one) => one.hidden);
    assert.deepEqual(hidden.filter(({ id }) => !tab.open.has(id)), [], `${why}: hidden ones`);
    assert.deepEqual(chat.conversations.filter((one) => !one.hidden).map(plain), told.map(plain), `${why}: the list`);
    for (const id of tab.open.keys()) {
      const conversation = this.server.conversations.get(id);
      if (!conversation.members.get(this.me).here) {
        assert.deepEqual(chat.lines(id).filter(({ message }) => message), [], `${why}: ${id} was left`);
        continue;
      }
      const shown = chat.lines(id).filter(({ message }) => message).map(({ message }) => message);
      const from = Math.max(1, conversation.members.get(this.me).visible_from);
      const truth = conversation.messages.filter(({ seq }) => seq >= from).map((one) => this.server.message(conversation, one, this.me));
      assert.deepEqual(shown.map(plain), truth.slice(truth.length - shown.length).map(plain), `${why}: messages of ${id}`);
      assert.ok(shown.length >= Math.min(50, truth.length), `${why}: only ${shown.length} messages of ${id}`);
      const others = ([user]) => user !== this.me;
      const receipts = this.server.receipts(conversation).map((one) => [one.user_id, one]).filter(others);
      const here = new Set(receipts.map(([user]) => user));
      const known = [...chat.receipts(id)].filter(([user]) => here.has(user));
      assert.deepEqual(new Map(known), new Map(receipts), `${why}: receipts of ${id}`);
      assert.deepEqual(chat.members(id), this.server.members(conversation), `${why}: members of ${id}`);
    }
  }
}

/** Looks at what a person sees: no hole, nothing twice, no older version, no order but that of numbers. */
class Check {
  #versions = new Map();
  constructor(chat, me) {
    this.chat = chat;
    this.me = me;
  }
  look(id) {
    const lines = this.chat.lines(id);
    const keys = lines.map(({ key }) => key);
    assert.equal(new Set(keys).size, keys.length, `twice: ${keys}`);
    const arrived = lines.filter(({ message }) => message).map(({ message }) => message);
    let before = null;
    for (const message of arrived) {
      const own = message.sender.id === this.me;
      // Own ones that were answered may wait at the end for those before them.
      const whole = before === null || message.seq === before + 1;
      if (!own) assert.ok(whole, `a hole or another order: ${arrived.map(({ seq }) => seq)}`);
      if (before !== null) assert.ok(message.seq > before, `another order: ${arrived.map(({ seq }) => seq)}`);
      before = message.seq;
      this.#version(id, message);
      // A quote is as the message that it quotes, where that is shown.
      const quoted = arrived.find(({ seq }) => seq === message.reply_to?.seq);
      if (quoted && whole) assert.equal(message.reply_to.text, quoted.text.slice(0, 200), `the quote in ${message.seq}`);
    }
  }
  #version(id, message) {
    const key = `${id} ${message.seq}`;
    const version = message.recalled ? Infinity : Number(/ v(\d+)/.exec(message.text)?.[1] ?? 0);
    assert.ok(version >= (this.#versions.get(key) ?? 0), `${key} went back to ${version}`);
    this.#versions.set(key, version);
  }
}

/** A value without what is absent, and in one order. */
function plain(value) {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  const there = Object.entries(value).filter(([, one]) => one !== false && one !== null && one !== undefined);
  return Object.fromEntries(there.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, one]) => [key, plain(one)]));
}

/** The storage as long as the tab is there. */
function untilGone(tab, storage) {
  const never = () => new Promise(() => {});
  const call = (name) => (argument) => (tab.gone ? never() : storage[name](argument));
  return { load: call("load"), save: call("save"), clear: call("clear") };
}

/** An answer whose reading takes no turns of the machine's own: every run of a seed is the same. */
function response({ status, body }) {
  const headers = { get: (name) => (name === "content-type" ? "application/json" : null) };
  return { ok: status < 300, status, headers, json: async () => structuredClone(body) };
}

/** The part of realtime that chat uses. */
function realtimeOf(tab) {
  return {
    on(type, listener) {
      const all = tab.listeners.get(type) ?? new Set();
      tab.listeners.set(type, all.add(listener));
      return () => all.delete(listener);
    },
    onState(listener) {
      tab.states.add(listener);
      return () => tab.states.delete(listener);
    },
    send: async (type, data) => void tab.frames.push({ type, data }),
  };
}
