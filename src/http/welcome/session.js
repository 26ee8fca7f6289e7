// Keeps one person's session going, whatever the network does: one link in use, at most one beside it that is to take
// over, and the cursor from which the next one resumes. Every item is handed out once, whatever carries it.
import * as steps from "./ladder.js";
import { open } from "./links.js";

/** Milliseconds until a try counts as failed, and keys that are remembered. */
const FIRST_FRAME_MS = 2500;
const KEYS_MAX = 5000;
/** Milliseconds after a change of the network until better transports are tried. */
const SETTLE_MS = 700;

export class Session {
  /** `trying`, `open` or `waiting`; `stopped` for good when the server does not know the token. */
  status = "trying";
  transport = null;
  /** Transports that failed since a link was open last. */
  tried = new Set();
  #ladder = steps.ladder();
  #cursor = "";
  #link = null;
  #candidate = null;
  #timers = new Map();
  #seen = new Set();

  /** `frame(type, data, transport, at)` hears of what came and is new, `state()` of every change of the connection. */
  constructor(network, token, listener) {
    Object.assign(this, { network, token, listener });
  }

  start() {
    this.#connect();
  }

  /** The switch was turned, or a transport was blocked or let through. What was open has ended by itself. */
  networkChanged() {
    this.#ladder = steps.networkChanged(this.#ladder);
    if (this.status === "waiting" && !this.network.cut) return this.#connect();
    if (this.status === "open") this.#climbLater(SETTLE_MS);
  }

  /** An item that was read otherwise need not come again; whether it is news. */
  remember(key) {
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    if (this.#seen.size > KEYS_MAX) this.#seen.delete(this.#seen.values().next().value);
    return true;
  }

  #connect() {
    this.#cancel("retry");
    this.#drop("link");
    this.transport = steps.current(this.#ladder);
    this.#to("trying");
    this.#link = this.#dial(this.transport);
    this.#after("first", FIRST_FRAME_MS, () => this.#give(this.#link));
  }

  #dial(transport) {
    const way = { network: this.network, token: this.token, cursor: () => this.#cursor };
    return open(transport, way, {
      opened: (link) => this.#opened(link),
      frame: (link, frame) => this.#frame(link, frame),
      cursor: (link, cursor) => link === this.#link && (this.#cursor = cursor),
      ended: (link, why) => this.#ended(link, why),
    });
  }

  #opened(link) {
    this.#cancel(link === this.#candidate ? "candidate" : "first");
    if (link === this.#candidate) {
      // The better link takes over; what both bring is known by its keys.
      this.#candidate = null;
      this.#drop("link");
      this.#link = link;
      this.#ladder = steps.climbed(this.#ladder, link.transport);
    }
    this.#ladder = steps.opened(this.#ladder);
    this.transport = link.transport;
    this.tried.clear();
    this.#to("open");
    this.#climbLater();
  }

  #frame(link, frame) {
    if (link !== this.#link) return;
    if (frame.type === "hello" && (!frame.data.resumed || !this.#cursor)) this.#cursor = frame.data.cursor;
    if (frame.id) this.#cursor = frame.id;
    // A reply and the notification of it have the same key: each stream has its own.
    const news = (items, stream = "") => items.filter((item) => this.remember(stream + item.key));
    if (frame.type === "feed.posts") {
      const items = news(frame.data.items);
      if (items.length > 0) this.listener.frame(frame.type, items, link.transport);
    } else if (["notification", "post.deleted", "author.deleted"].includes(frame.type)) {
      for (const item of news([frame.data], `${frame.type} `)) this.listener.frame(frame.type, item, link.transport);
    } else {
      this.listener.frame(frame.type, frame.data, link.transport, frame.at);
    }
    if (frame.type === "drain") this.#after("retry", frame.data.reconnect_after_ms, () => this.#connect());
  }

  #ended(link, why) {
    if (link === this.#candidate) return this.#untried(link);
    if (link !== this.#link) return;
    this.#link = null;
    this.#cancel("first");
    this.#cancel("climb");
    this.#drop("candidate");
    if (why === "unknown") return this.#to("stopped");
    if (why !== "lost") this.tried.add(link.transport);
    const [ladder, pause] = steps.failed(this.#ladder, why, Math.random());
    this.#ladder = ladder;
    if (ladder.rung === 0 && why !== "lost") this.tried.clear();
    this.transport = steps.current(ladder);
    this.#to("waiting");
    this.#after("retry", pause, () => this.#connect());
  }

  /** A try that took too long. */
  #give(link) {
    if (!link || link.closed) return;
    link.close();
    this.#ended(link, "refused");
  }

  #climbLater(soonMs) {
    this.#cancel("climb");
    const pause = steps.climbDelay(this.#ladder, Math.random());
    if (pause === null || this.status !== "open") return;
    this.#after("climb", soonMs ?? pause, () => this.#climb(steps.better(this.#ladder)));
  }

  #climb([transport, ...others]) {
    if (!transport) {
      this.#ladder = steps.climbFailed(this.#ladder);
      return this.#climbLater();
    }
    this.#others = others;
    this.#candidate = this.#dial(transport);
    this.#after("candidate", FIRST_FRAME_MS, () => {
      const link = this.#candidate;
      link?.close();
      if (link) this.#untried(link);
    });
  }

  #others = [];

  #untried() {
    this.#cancel("candidate");
    this.#candidate = null;
    this.#climb(this.#others);
  }

  #drop(which) {
    if (which === "candidate") {
      this.#cancel("candidate");
      this.#candidate?.close();
      this.#candidate = null;
    } else {
      this.#link?.close();
      this.#link = null;
    }
  }

  #after(name, ms, work) {
    this.#cancel(name);
    this.#timers.set(name, setTimeout(work, ms));
  }

  #cancel(name) {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }

  #to(status) {
    this.status = status;
    this.listener.state();
  }
}
