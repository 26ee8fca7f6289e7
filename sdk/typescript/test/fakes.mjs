// Fakes that tests hold still: time, chance, links.

/** Time that stands until it is moved. */
export class FakeClock {
  #now = 1_000_000;
  #timers = new Map();
  #next = 1;
  constructor(random = 0.5) {
    this.chance = random;
  }
  now() {
    return this.#now;
  }
  random() {
    return this.chance;
  }
  after(ms, call) {
    const timer = this.#next++;
    this.#timers.set(timer, { at: this.#now + ms, call });
    return timer;
  }
  cancel(timer) {
    this.#timers.delete(timer);
  }
  /** Number of timers that wait. */
  get waiting() {
    return this.#timers.size;
  }
  /** Lets time pass, timer by timer; promises settle in between. */
  async pass(ms) {
    const end = this.#now + ms;
    await settle();
    for (;;) {
      // Of two at one time the one that was set first, as the map has them.
      let next = null;
      for (const entry of this.#timers) if (entry[1].at <= end && (!next || entry[1].at < next[1].at)) next = entry;
      if (!next) break;
      this.#timers.delete(next[0]);
      this.#now = Math.max(this.#now, next[1].at);
      next[1].call();
      await settle();
    }
    this.#now = end;
    await settle();
  }
  /** Time jumps; what was due meanwhile is late. */
  async sleep(ms) {
    this.#now += ms;
    await this.pass(0);
  }
}

/** Everything that promises had to do is done. */
export async function settle() {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Links that do what the test says. */
export class FakeDial {
  /** Every link ever opened, oldest first. */
  links = [];
  dial = (transport, cursor, sink) => {
    const link = {
      transport,
      cursor: cursor(),
      sink,
      sent: [],
      probes: 0,
      closed: false,
      beats: transport === "websocket" || transport === "sse",
      send: (frames) => link.sent.push(...frames),
      probe: () => {
        link.probes += 1;
        return transport !== "sse";
      },
      close: () => {
        link.closed = true;
      },
      open: (data = {}) => {
        sink.alive();
        sink.opened();
        if (link.beats) sink.frame(hello(transport, { resumed: link.cursor !== null, ...data }));
      },
      end: (why, code = null, retryAfterMs = null) => sink.ended({ why, code, retryAfterMs, detail: why }),
    };
    this.links.push(link);
    return link;
  };
  /** The newest link. */
  get last() {
    return this.links.at(-1);
  }
  /** Transports in the order in which they were tried. */
  get tried() {
    return this.links.map((link) => link.transport);
  }
}

export function hello(transport, data = {}) {
  const said = { session_id: "7", heartbeat_s: 30, resumed: false, transport, cursor: "c-hello", ...data };
  return { type: "hello", at: "2026-01-01T00:00:00.000Z", data: said };
}

export function posts(cursor, ...ids) {
  const items = ids.map((id) => ({ id: String(id), key: String(id), text: `post ${id}` }));
  return { id: cursor, type: "feed.posts", lane: "bulk", at: "2026-01-01T00:00:00.000Z", data: { items } };
}

export function notification(cursor, id) {
  const data = { id: String(id), key: String(id), kind: "like" };
  return { id: cursor, type: "notification", lane: "urgent", at: "2026-01-01T00:00:00.000Z", data };
}

/** Numbers of chance that a seed gives again. */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Waits for a condition, with a deadline. */
export async function until(condition, what, ms = 10_000) {
  const end = Date.now() + ms;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited in vain: ${typeof what === "function" ? what() : what}`);
    await new Promise((resolve) => setTimeout(resolve, 10)); // poll
  }
}
