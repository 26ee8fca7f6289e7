// The column between the two people: the way of what was done last, and what the fan-out does meanwhile.
import { count, make, many } from "./cards.js";

const EVERY_MS = 2000;
const ASK_MS = 120;
const AUTHORS_MAX = 100;

/** How an author's posts reach followers, in words. */
const WAYS = { pushed: "pushed at once", late: "pushed late", pulled: "pulled when read" };

const $ = (id) => document.getElementById(id);

export class Engine {
  #reach = new Map();
  #chips = new Map();
  #wanted = new Set();
  #asking = null;

  /** `api` asks; it should be one that no switch cuts. */
  constructor(api) {
    this.api = api;
  }

  start() {
    const tick = async () => {
      if (!document.hidden) await this.#ask().catch(() => {});
      setTimeout(tick, EVERY_MS);
    };
    tick();
  }

  /** A place that says how posts of this author travel, as soon as that is known. */
  chip(author) {
    const chip = make("span", "way");
    const all = this.#chips.get(author.id) ?? [];
    this.#chips.set(author.id, [...all.filter((one) => one.isConnected), chip]);
    if (this.#reach.has(author.id)) this.#label(chip, this.#reach.get(author.id));
    else this.#want(author.id);
    return chip;
  }

  /** Timelines in memory that a post of this person goes to, and how. */
  reach(id) {
    return this.#reach.get(id);
  }

  /** Shows the way of something from one person to the other: what, and its stations as [words, time] each. */
  way(headline, ms, transport, stations) {
    $("headline").textContent = headline;
    $("took").replaceChildren(make("b", "", `${count(ms)} ms`), make("span", "", ` by ${transport}`));
    $("took").hidden = false;
    $("stations").replaceChildren(...stations.map(([words, time]) => {
      const station = make("li", "", words);
      station.append(make("span", "time", time));
      return station;
    }));
  }

  #want(id) {
    this.#wanted.add(id);
    this.#asking ??= setTimeout(() => {
      this.#asking = null;
      this.#ask().catch(() => {});
    }, ASK_MS);
  }

  async #ask() {
    const wanted = [...this.#wanted].slice(0, AUTHORS_MAX);
    for (const id of wanted) this.#wanted.delete(id);
    // Those two are asked for each time: their timelines come and go.
    const ids = new Set([...wanted, ...this.played].slice(-AUTHORS_MAX));
    const engine = await this.api.call("GET", `/demo/engine.json?authors=${[...ids].join(",")}`);
    for (const author of engine.authors) {
      this.#reach.set(author.user_id, author);
      for (const chip of this.#chips.get(author.user_id) ?? []) this.#label(chip, author);
    }
    this.#show(engine);
  }

  /** Ids of the two people. */
  played = [];

  #label(chip, { delivery, followers }) {
    chip.className = `way ${delivery}`;
    chip.textContent = `${WAYS[delivery]} · ${many(followers, "follower")}`;
  }

  #show(engine) {
    const rules = {
      pushed: `fewer than ${count(engine.push_below)} followers`,
      late: `${count(engine.push_below)} to ${count(engine.pull_above)}`,
      pulled: `more than ${count(engine.pull_above)}`,
    };
    const most = Math.max(1, ...Object.keys(rules).map((way) => engine[way].deliveries));
    for (const way of Object.keys(rules)) {
      const { posts, deliveries } = engine[way];
      const row = $(`tier-${way}`);
      row.querySelector(".rule").textContent = rules[way];
      const figures = [`${count(posts)} `, make("span", "more", "posts "), `→ ${count(deliveries)} `, make("span", "more", "timeline entries")];
      row.querySelector(".figures").replaceChildren(...figures);
      const bar = row.querySelector(".bar");
      bar.setAttribute("aria-valuemax", String(most));
      bar.setAttribute("aria-valuenow", String(deliveries));
      bar.firstElementChild.style.width = `${(100 * deliveries) / most}%`;
    }
    $("timelines").textContent = count(engine.timelines);
    $("entries").textContent = count(engine.entries);
    $("memory").textContent = `${(engine.bytes / 1048576).toFixed(1)} MB`;
    $("waiting").textContent = count(engine.waiting);
    $("engine").dataset.ready = "true";
  }
}

/** Things that were done, and where they arrived: whichever of the two is known first waits for the other. */
export class Journeys {
  #left = new Map();
  #waiting = new Map();

  /** Something was done at `at` (performance.now()), and acknowledged `ackMs` later. */
  left(key, at, ackMs) {
    this.#left.set(key, { at, ackMs });
    if (this.#left.size > 500) this.#left.delete(this.#left.keys().next().value);
    const waiting = this.#waiting.get(key) ?? [];
    this.#waiting.delete(key);
    for (const { at: arrived, show } of waiting) show(arrived - at, ackMs);
  }

  /** It arrived now; `show` gets the milliseconds. What was done elsewhere is never told. */
  arrived(key, show) {
    const at = performance.now();
    const left = this.#left.get(key);
    if (left) return show(at - left.at, left.ackMs);
    this.#waiting.set(key, [...(this.#waiting.get(key) ?? []), { at, show }]);
    if (this.#waiting.size > 500) this.#waiting.delete(this.#waiting.keys().next().value);
  }
}
