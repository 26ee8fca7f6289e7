// Scripted lives of conversations: others write, edit, recall, react, come and go while devices of one person are opened,
// cut off and killed. State and events must equal fresh state, and nothing is lost, doubled or shown out of order. A
// failure names its seed.
import assert from "node:assert/strict";
import test from "node:test";
import { ChatWorld } from "./chat-world.mjs";

/** More of them, or the one of a failure, by the environment. */
const WORLDS = Number(process.env.CHAT_WORLDS ?? 40);
const FIRST = Number(process.env.CHAT_SEED ?? 1);
const TURNS = 60;
const EMOJI = ["👍", "🎉"];

class Life {
  constructor(seed) {
    this.seed = seed;
    this.world = new ChatWorld(seed);
    const { server } = this.world;
    this.others = ["ann", "bob", "eve", "dan"].map((name) => server.person(name));
    if (this.world.chance(0.3)) server.changesKept = 3;
    if (this.world.chance(0.2)) server.eventsKept = 6;
    server.make("direct", this.others[0], [this.world.me]);
    server.make("group", this.others[1], [this.world.me, ...this.others], "many");
    const old = server.make("group", this.world.me, this.others, "old");
    for (let count = 0; count < 70; count += 1) this.write(old, this.world.pick(this.others));
    this.written = 0;
    this.sent = [];
  }

  write(conversation, sender) {
    this.written += 1;
    const { server, chance, random, me } = this.world;
    const { messages } = conversation;
    const text = `${chance.call(this.world, 0.1) ? "@me " : ""}text ${this.written}`;
    const reply_to = messages.length > 0 && random() < 0.3 ? Math.ceil(random() * messages.length) : null;
    server.send(conversation, sender, { client_id: `${sender}-${this.written}`, text, reply_to });
    return me;
  }

  /** Something happens on the server. */
  happen() {
    const { server, me } = this.world;
    const { world } = this;
    const conversation = world.pick([...server.conversations.values()]);
    const here = [...conversation.members].filter(([, member]) => member.here).map(([user]) => user);
    const other = world.pick(here.filter((user) => user !== me));
    const message = conversation.messages.length > 0 ? world.pick(conversation.messages.slice(-8)) : null;
    const roll = world.random();
    if (!other) return server.add(conversation, me, world.pick(this.others));
    if (roll < 0.45) return this.write(conversation, other);
    if (roll < 0.5) return this.write(conversation, me);
    if (roll < 0.6 && message) return server.edit(conversation, message, `${world.chance(0.3) ? "@me " : ""}text v${message.edits + 1}`);
    if (roll < 0.66 && message) return server.recall(conversation, message, world.chance(0.5) ? message.sender : other);
    if (roll < 0.8 && message) return server.react(conversation, message, world.pick(here), world.pick(EMOJI));
    if (roll < 0.88) return server.mark(conversation, world.pick(here), world.chance(0.5) ? "read" : "delivered", conversation.messages.length);
    if (roll < 0.89) return conversation.members.get(me).here && server.hide(conversation, me);
    if (roll < 0.9) return server.personal(conversation, me, { pinned: world.chance(0.5), draft: `draft ${this.written}` });
    if (conversation.kind === "direct") return server.make("group", other, [me], `new ${this.written}`);
    if (roll < 0.94) return server.rename(conversation, other, `title ${this.written}`);
    if (roll < 0.97) return server.remove(conversation, other, world.pick(here));
    return server.add(conversation, other, world.pick([me, ...this.others]));
  }

  /** The person does something on one of the devices. */
  async act() {
    const { world } = this;
    const { server } = world;
    const tab = world.pick(world.tabs);
    if (!tab) return world.tab();
    const conversation = world.pick([...server.conversations.values()]);
    const { id } = conversation;
    const roll = world.random();
    if (roll < 0.3) return this.send(tab, id);
    if (roll < 0.45) return world.show(tab, id);
    if (roll < 0.5) return world.hide(tab, id);
    if (roll < 0.6) return tab.chat.markRead(id, world.chance(0.5) ? undefined : Math.ceil(world.random() * conversation.messages.length));
    if (roll < 0.65) return void tab.chat.older(id).catch(() => {});
    if (roll < 0.7) return void tab.chat.setPersonal(id, { archived: world.chance(0.5) }).catch(() => {});
    if (roll < 0.78) return world.disconnect(tab);
    if (roll < 0.88) return world.connect(tab);
    if (roll < 0.93) return world.tabs.length < 3 ? world.tab() : undefined;
    return world.crash(tab);
  }

  send(tab, id) {
    const known = [...tab.chat.lines(id)].filter(({ message }) => message).at(-1);
    const text = `mine ${this.sent.length}${this.world.chance(0.1) ? " refuse" : ""}`;
    const reply_to = known && this.world.chance(0.3) ? known.message.seq : null;
    const { message, order } = tab.chat.send(id, { text, reply_to });
    this.sent.push({ tab, id, order, client_id: message.client_id, text });
  }

  async live() {
    const { world } = this;
    await world.tab();
    for (let turn = 0; turn < TURNS; turn += 1) {
      for (let events = world.random() * 4; events > 0; events -= 1) this.happen();
      if (world.chance(0.6)) await this.act();
      await world.clock.pass(world.random() * (world.chance(0.1) ? 20_000 : 400));
    }
    if (world.tabs.length === 0) await world.tab();
    await world.heal();
  }

  /** Every send arrived once, in order, or has failed. */
  checkSends() {
    const { server, tabs } = this.world;
    const left = new Map();
    for (const { chat } of tabs) {
      for (const id of server.conversations.keys()) {
        for (const { key, outgoing } of chat.lines(id)) if (outgoing) left.set(key, outgoing);
      }
    }
    for (const { id, client_id, text } of this.sent) {
      const arrived = server.conversations.get(id).messages.filter((message) => message.client_id === client_id);
      assert.ok(arrived.length <= 1, `${text} came twice`);
      const outgoing = left.get(client_id);
      // Who was removed before the answer came is not told that it had arrived.
      const untold = outgoing?.problem?.status === 404;
      if (outgoing) assert.ok(outgoing.state === "failed" && (arrived.length === 0 || untold), `${text} is ${outgoing.state}`);
      else assert.equal(arrived.length, 1, `${text} is lost`);
    }
    for (const id of server.conversations.keys()) {
      const mine = this.sent.filter((one) => one.id === id).map(({ client_id, order, tab }) => {
        return { order, tab, seq: server.conversations.get(id).messages.find((message) => message.client_id === client_id)?.seq };
      });
      for (const tab of new Set(mine.map((one) => one.tab))) {
        const seqs = mine.filter((one) => one.tab === tab && one.seq).sort((a, b) => a.order - b.order).map(({ seq }) => seq);
        assert.deepEqual(seqs, [...seqs].sort((a, b) => a - b), `the order of sends in ${id}`);
      }
    }
  }
}

test(`state and events equal fresh state in ${WORLDS} lives`, { timeout: 3_600_000 }, async () => {
  for (let seed = FIRST; seed < FIRST + WORLDS; seed += 1) {
    const life = new Life(seed);
    try {
      await life.live();
      assert.deepEqual(life.world.errors, []);
      life.checkSends();
      for (const tab of life.world.tabs) life.world.compare(tab, "at the end");
    } catch (error) {
      throw new Error(`seed ${seed}: ${error.message}`, { cause: error });
    }
  }
});
