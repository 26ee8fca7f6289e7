// The talk of one of the two people: their conversations, and what is said in the open one. What cannot be sent waits,
// and goes with the same id when the network is back: it is said once. An application would use the SDK.
import { count, make, many } from "./cards.js";
import { NAMES } from "./ladder.js";

const ROOMS = 4;
const LINES_MAX = 50;
/** Milliseconds until a send is tried again, between two words that somebody writes, and for which they are shown. */
const AGAIN_MS = 1000;
const WRITES_MS = 3000;
const WROTE_MS = 6000;

export class Talk {
  #rooms = new Map();
  #open = null;
  #outbox = [];
  #sending = false;
  #wrote = 0;

  /** `person` has name, api, session, page, other and pane. */
  constructor(person) {
    this.person = person;
    this.pane = person.$(".talk");
    this.tab = person.$(".tab.chat");
    for (const which of ["posts", "chat"]) person.$(`.tab.${which}`).addEventListener("click", () => this.#show(which === "chat"));
    const form = this.pane.querySelector("form");
    const input = form.querySelector("input");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (input.value.trim() && this.#open) this.#say(input.value.trim());
      input.value = "";
    });
    input.addEventListener("input", () => this.#writes());
  }

  get #me() {
    return this.person.api.user.id;
  }

  get #shown() {
    return !this.pane.hidden;
  }

  /** Reads the conversations, and the open one anew. */
  async load() {
    const { items } = await this.person.api.call("GET", `/v1/conversations?limit=${ROOMS}`);
    for (const told of items) this.#room(told.id).told = told;
    for (const id of [...this.#rooms.keys()]) if (!items.some((told) => told.id === id)) this.#rooms.delete(id);
    if (!this.#rooms.has(this.#open)) this.#open = null;
    const direct = items.find(({ peer }) => peer?.id === this.person.other.api.user.id);
    this.#open ??= direct?.id ?? items[0]?.id ?? null;
    if (this.#open) await this.#read(this.#open);
    this.#draw();
  }

  #room(id) {
    if (!this.#rooms.has(id)) this.#rooms.set(id, { told: null, messages: new Map(), receipts: new Map(), how: new Map(), writes: null, trouble: null });
    return this.#rooms.get(id);
  }

  async #read(id) {
    const path = `/v1/conversations/${id}`;
    const call = (rest) => this.person.api.call("GET", path + rest);
    const [told, page, receipts] = await Promise.all([call(""), call(`/messages?limit=${LINES_MAX}`), call("/receipts")]);
    const room = this.#room(id);
    room.told = told;
    room.messages = new Map(page.items.reverse().map((message) => [message.seq, message]));
    for (const receipt of receipts.items) room.receipts.set(receipt.user_id, receipt);
    this.#seen();
  }

  /** Takes a frame; whether it was one of these. */
  frame(type, data, transport) {
    const room = this.#rooms.get(data.conversation_id ?? data.message?.conversation_id);
    if (type === "message") this.#came(data, transport);
    else if (type === "message.updated") room?.messages.set(data.message.seq, data.message);
    else if (type === "message.recalled" && room?.messages.has(data.seq)) Object.assign(room.messages.get(data.seq), { recalled: true, text: "" });
    else if (type === "receipt") for (const receipt of data.receipts) room?.receipts.set(receipt.user_id, receipt);
    else if (type === "typing" && room) room.writes = { user: data.user_id, until: performance.now() + WROTE_MS };
    else if (type === "conversation.updated") this.#again();
    else return;
    if (type === "typing") setTimeout(() => this.#draw(), WROTE_MS + 50);
    this.#draw();
  }

  /** Something was missed, or is not as it was. */
  #again() {
    this.load().catch(() => {});
  }

  #came(message, transport) {
    const room = this.#rooms.get(message.conversation_id);
    if (!room?.told) return this.#again();
    const mine = message.sender.id === this.#me;
    const isOpen = message.conversation_id === this.#open;
    // A hole is read, before what stands behind it is shown.
    if (isOpen && message.seq > Math.max(0, ...room.messages.keys()) + 1) return this.#again();
    if (message.seq > room.told.last_seq && !mine) room.told.unread_count += 1;
    room.told.last_seq = Math.max(room.told.last_seq, message.seq);
    room.messages.set(message.seq, message);
    if (room.messages.size > LINES_MAX) room.messages.delete(room.messages.keys().next().value);
    if (room.writes?.user === message.sender.id) room.writes = null;
    if (mine) return;
    this.person.page.journeys.arrived(`message:${message.id}`, (ms, ackMs) => {
      room.how.set(message.seq, `arrived in ${count(Math.max(1, ms))} ms by ${NAMES[transport]}`);
      this.person.page.delivered("message", this.person.other, this.person, { ms, ackMs, transport });
      this.#draw();
    });
    this.#seen();
    if (!this.#shown || !isOpen) this.#mark(message.conversation_id, "delivered", message.seq);
  }

  /** Who looks at it has read it. */
  #seen() {
    const room = this.#rooms.get(this.#open);
    if (!this.#shown || !room?.told || room.told.unread_count === 0) return;
    room.told.unread_count = 0;
    this.#mark(this.#open, "read", room.told.last_seq);
  }

  #mark(id, which, seq) {
    this.person.api.call("PUT", `/v1/conversations/${id}/${which}`, { seq }).catch(() => {});
  }

  #writes() {
    if (!this.#open || performance.now() - this.#wrote < WRITES_MS) return;
    this.#wrote = performance.now();
    const frame = { ref: 1, type: "typing", data: { conversation_id: this.#open } };
    this.person.api.call("POST", "/v1/realtime/send", frame).catch(() => {});
  }

  #say(text) {
    const id = [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    this.#room(this.#open).trouble = null;
    this.#outbox.push({ room: this.#open, text, body: { client_id: id, kind: "text", text } });
    this.#draw();
    this.#send();
  }

  /** One at a time, until it is answered. */
  async #send() {
    if (this.#sending) return;
    this.#sending = true;
    while (this.#outbox.length > 0) {
      const [first] = this.#outbox;
      try {
        const at = performance.now();
        const message = await this.person.api.call("POST", `/v1/conversations/${first.room}/messages`, first.body);
        this.person.page.journeys.left(`message:${message.id}`, at, performance.now() - at);
        this.#outbox.shift();
        this.#came(message);
      } catch (error) {
        const isOver = error.status >= 400 && error.status < 500 && error.status !== 429;
        if (isOver) this.#room(this.#outbox.shift().room).trouble = `Not sent: ${error.message}`;
        else await new Promise((wake) => setTimeout(wake, AGAIN_MS));
      }
      this.#draw();
    }
    this.#sending = false;
  }

  #show(chat) {
    for (const which of [".compose", ".feed"]) this.person.$(which).hidden = chat;
    this.pane.hidden = !chat;
    this.tab.setAttribute("aria-pressed", String(chat));
    this.person.$(".tab.posts").setAttribute("aria-pressed", String(!chat));
    this.#seen();
    this.#draw();
  }

  #name(room) {
    return room.told.title ?? room.told.peer?.display_name ?? "somebody";
  }

  #draw() {
    const rooms = [...this.#rooms].filter(([, room]) => room.told);
    const unread = rooms.reduce((sum, [, room]) => sum + room.told.unread_count, 0);
    this.tab.textContent = unread > 0 ? `Chat · ${many(unread, "new", "new")}` : "Chat";
    if (!this.#shown) return;
    this.pane.querySelector(".rooms").replaceChildren(...rooms.map(([id, room]) => {
      const { unread_count: more } = room.told;
      const button = make("button", "", `${this.#name(room)}${more > 0 ? ` · ${count(more)}` : ""}`);
      button.type = "button";
      button.setAttribute("aria-pressed", String(id === this.#open));
      button.addEventListener("click", () => {
        this.#open = id;
        this.#again();
      });
      return button;
    }));
    const room = this.#rooms.get(this.#open);
    if (!room) return;
    const lines = [...room.messages.values()].map((message) => this.#line(room, message));
    const waiting = this.#outbox.filter(({ room: id }) => id === this.#open);
    lines.push(...waiting.map(({ text }) => this.#bubble("mine waiting", text, "waits for the network")));
    const writes = room.writes && room.writes.until > performance.now();
    if (room.trouble) lines.push(make("li", "soft", room.trouble));
    if (writes) lines.push(make("li", "soft", `${this.#who(room.writes.user)} writes…`));
    const list = this.pane.querySelector(".lines");
    list.replaceChildren(...lines);
    list.scrollTop = list.scrollHeight;
  }

  #who(user) {
    return user === this.person.other.api.user.id ? this.person.other.name : "Somebody";
  }

  #line(room, message) {
    if (message.kind === "system") return make("li", "soft", `${message.sender.display_name}: ${message.system.kind.replace("_", " ")}`);
    if (message.recalled) return make("li", "soft", "taken back");
    const mine = message.sender.id === this.#me;
    const theirs = [...room.receipts.values()].filter((one) => one.user_id !== this.#me);
    const upTo = (mark) => theirs.length > 0 && theirs.every((one) => one[mark] >= message.seq);
    const state = upTo("read_seq") ? "read" : upTo("delivered_seq") ? "delivered" : "sent";
    const by = room.told.kind === "group" && !mine ? `${message.sender.display_name} ` : "";
    return this.#bubble(mine ? "mine" : "", message.text, mine ? state : by + (room.how.get(message.seq) ?? ""));
  }

  #bubble(className, text, how) {
    const line = make("li", `line ${className}`);
    line.append(make("p", "text", text), make("p", "soft how", how));
    return line;
  }
}
