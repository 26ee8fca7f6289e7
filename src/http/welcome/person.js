// One of the two people: their feed, their bell, and their network with its switch.
import { Api, newer } from "./api.js";
import { Card, count, face, many, make, sentence } from "./cards.js";
import { NAMES, RUNGS } from "./ladder.js";
import { Network } from "./network.js";
import { Session } from "./session.js";
import { Talk } from "./talk.js";

const SHOWN_MAX = 60;
const FIRST_POSTS = 12;
const NEWS_MAX = 20;
/** Milliseconds after a way back until what was missed must be there. */
const CAUGHT_UP_MS = 8000;
/** Milliseconds of age up to which a post of the town counts as one that was sent just now. */
const FRESH_MS = 4000;
/** Milliseconds for which the last line of the bell is the other person's. */
const STAYS_MS = 12_000;
/** Whether the server's clock is this machine's: then its times can be compared with ours. */
const SAME_CLOCK = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);

export class Person {
  network = new Network();
  api = new Api(this.network);
  #cards = new Map();
  #news = [];
  #unread = 0;
  #newest = "0";
  /** What happened since the network went: see `#leave`. */
  #away = null;
  #held = [];
  #quiet = false;
  #told = Number.NEGATIVE_INFINITY;

  /** `page` connects the people: engine, journeys, and what the story hears of. */
  constructor(as, place, suggestions, page) {
    Object.assign(this, { as, page, suggestions });
    const pane = document.getElementById("person").content.cloneNode(true).firstElementChild;
    pane.id = as;
    pane.classList.add(as);
    place.append(pane);
    this.pane = pane;
    this.feed = this.$(".feed");
  }

  $(selector) {
    return this.pane.querySelector(selector);
  }

  get name() {
    return this.api.user.display_name;
  }

  async logIn() {
    await this.api.logIn(this.as);
    const { user } = this.api;
    this.$("h2").textContent = user.display_name;
    this.$(".at").textContent = `@${user.handle}`;
    this.$(".head").prepend(face(user, "big"));
    this.pane.setAttribute("aria-label", user.display_name);
    this.feed.setAttribute("aria-label", `${user.display_name}'s feed, newest first`);
    this.$(".compose .unseen").textContent = `Post as ${user.display_name}`;
    this.$(".switch").setAttribute("aria-label", `${user.display_name}'s network`);
    this.$(".bell").setAttribute("aria-label", `${user.display_name}'s bell`);
    this.#suggest();
  }

  /** Fills the feed and connects. `other` is who stands beside. */
  async start(other) {
    this.other = other;
    this.#wire();
    const [page, news, them] = await Promise.all([
      this.api.call("GET", `/v1/feed?limit=${FIRST_POSTS}`),
      this.api.call("GET", `/v1/notifications?limit=${NEWS_MAX}`),
      this.api.profile(other.api.user.id),
    ]);
    this.#follows(them.relationship.following);
    this.session = new Session(this.network, this.api.token, {
      frame: (type, data, transport, at) => this.#frame(type, data, transport, at),
      state: () => this.#state(),
    });
    for (const post of page.items) this.#add(post);
    this.#news = news.items;
    for (const item of news.items) this.session.remember(`notification ${item.id}`);
    this.talk = new Talk(this);
    await this.talk.load();
    // The bell begins silent, so that one sees it ring.
    await this.#readNews();
    this.session.start();
  }

  /** Others than the two wait, so that one can look at a feed that stands still. */
  setQuiet(quiet) {
    this.#quiet = quiet;
    if (!quiet) for (const post of this.#held.splice(0)) this.#show(post);
    this.#tellHeld();
  }

  // What this person does.

  async #do(work) {
    try {
      await work();
      this.#note("");
      return true;
    } catch (error) {
      this.#note(this.network.cut ? `${this.name} has no network: nothing was sent.` : `Not done: ${error.message}`);
      return false;
    }
  }

  #post(text, replyTo) {
    return this.#do(async () => {
      const at = performance.now();
      const post = await this.api.post(text, replyTo);
      this.page.journeys.left(`post:${post.id}`, at, performance.now() - at);
      this.#add(post);
      if (replyTo) this.#cards.get(replyTo)?.counted({ reply_count: this.#cards.get(replyTo).post.reply_count + 1 });
      this.page.story("posted", this, replyTo);
    });
  }

  #like(card, on) {
    return this.#do(async () => {
      const at = performance.now();
      const post = await this.api.like(card.post.id, on);
      if (on) this.page.journeys.left(`like:${post.id}:${this.api.user.id}`, at, performance.now() - at);
      card.post.liked = on;
      card.counted(post);
    });
  }

  #follow() {
    const on = !this.following;
    return this.#do(async () => {
      const at = performance.now();
      const { following } = await this.api.follow(this.other.api.user.id, on);
      if (on) this.page.journeys.left(`follow:${this.api.user.id}`, at, performance.now() - at);
      this.#follows(following);
    });
  }

  #follows(following) {
    this.following = following;
    this.$(".follow").textContent = `${following ? "Following" : "Follow"} ${this.other.name}`;
    this.$(".follow").setAttribute("aria-pressed", String(following));
  }

  #suggest() {
    this.suggestion = ((this.suggestion ?? -1) + 1) % this.suggestions.length;
    this.$(".compose input").value = this.suggestions[this.suggestion];
  }

  #wire() {
    this.$(".compose").addEventListener("submit", async (event) => {
      event.preventDefault();
      const input = this.$(".compose input");
      if (input.value.trim() && (await this.#post(input.value))) this.#suggest();
    });
    this.$(".follow").addEventListener("click", () => this.#follow());
    this.$(".switch").addEventListener("click", () => this.#cut(!this.network.cut));
    this.$(".bell").addEventListener("click", () => this.#openNews());
    this.$(".rungs").append(...RUNGS.map((rung) => {
      const item = make("li");
      const button = make("button", "", NAMES[rung]);
      button.type = "button";
      button.addEventListener("click", () => {
        this.network.setBlocked(rung, !this.network.blocked.has(rung));
        this.session.networkChanged();
        this.#state();
      });
      item.append(button);
      return item;
    }));
  }

  // What reaches this person.

  #frame(type, data, transport, at) {
    // What the server made before it greeted us was missed; what it makes from then on is not.
    if (type === "hello" && this.#away?.openedAt && at) this.#away.untilMs = Date.parse(at);
    if (type === "feed.posts") for (const post of [...data].reverse()) this.#arrived(post, transport);
    if (type === "notification") this.#rang(data, transport);
    if (type === "post.deleted") this.#remove(data.id);
    if (type === "author.deleted") this.#removeAll(data.user_id);
    if (type === "hello" && this.#away?.openedAt && !data.resumed) this.#reread();
    if (type === "gap" || type === "reset") this.#reread();
    this.talk.frame(type, data, transport);
  }

  /** More was missed than a resume brings: the feed is read over HTTP. */
  async #reread() {
    this.talk.load().catch(() => {});
    const page = await this.api.call("GET", "/v1/feed?limit=100").catch(() => ({ items: [] }));
    for (const post of page.items) if (this.session.remember(post.id)) this.#arrived(post, this.session.transport);
  }

  #arrived(post, transport) {
    const missed = this.#wasMissed(post);
    const mine = post.author.id === this.api.user.id;
    const by = NAMES[transport];
    const card = this.#show(post);
    const ms = Math.max(1, Date.now() - Date.parse(post.created_at));
    if (missed) card?.came(`missed while cut off, caught up by ${by}`, "late");
    else if (!mine && SAME_CLOCK && ms < FRESH_MS) card?.came(`arrived in ${count(ms)} ms by ${by}`);
    if (mine || missed) return;
    this.page.journeys.arrived(`post:${post.id}`, (took, ackMs) => {
      card?.came(`arrived in ${count(took)} ms by ${by}`, "now");
      // Of a reply the bell tells.
      if (!post.reply_to) this.page.delivered("post", this.other, this, { ms: took, ackMs, transport });
    });
  }

  #rang(item, transport) {
    this.#news = [item, ...this.#news.filter((one) => one.id !== item.id)].slice(0, NEWS_MAX);
    const missed = this.#wasMissed(item);
    if (missed) this.#away.news += 1;
    this.#ring(this.#unread + 1);
    const { kind, actor, post } = item;
    if (kind === "like" && post) this.#cards.get(post.id)?.counted(post);
    if (kind === "reply" && post?.reply_to) {
      const answered = this.#cards.get(post.reply_to);
      answered?.counted({ reply_count: answered.post.reply_count + 1 });
    }
    const theirs = actor.id === this.other.api.user.id;
    this.#tell(sentence(item), missed ? "missed while cut off, caught up" : "", theirs);
    const key = { like: `like:${post?.id}:${actor.id}`, follow: `follow:${actor.id}` }[kind] ?? `post:${post?.id}`;
    if (!theirs || missed) return;
    this.page.journeys.arrived(key, (ms, ackMs) => {
      this.#tell(sentence(item), `arrived in ${count(ms)} ms by ${NAMES[transport]}`, true);
      this.page.delivered(kind, this.other, this, { ms, ackMs, transport });
    });
  }

  /** What rang last. What the other person did stays for a while, whatever the town does. */
  #tell(words, how, theirs) {
    if (!theirs && performance.now() - this.#told < STAYS_MS) return;
    if (theirs) this.#told = performance.now();
    const line = this.$(".latest");
    line.replaceChildren(make("span", "", words));
    if (how) line.append(make("span", "arrival now", how));
  }

  /** Shows a post where its id belongs. */
  #add(post) {
    return this.session.remember(post.id) ? this.#show(post) : null;
  }

  #show(post) {
    const played = [this.api.user.id, this.other.api.user.id].includes(post.author.id);
    if (this.#cards.has(post.id)) return null;
    if (newer(post.id, this.#newest)) this.#newest = post.id;
    if (this.#quiet && !played) {
      this.#held.push(post);
      this.#tellHeld();
      return null;
    }
    const card = new Card(post, this.page.engine.chip(post.author), {
      like: (one, on) => this.#like(one, on),
      reply: (one, text) => this.#post(text, one.post.id),
    });
    if (played) card.element.classList.add(post.author.id === this.page.people[0].api.user.id ? "by-demo" : "by-friend");
    this.#cards.set(post.id, card);
    const below = [...this.feed.children].find((one) => newer(post.id, one.dataset.id));
    this.feed.insertBefore(card.element, below ?? null);
    while (this.feed.children.length > SHOWN_MAX) this.#remove(this.feed.lastElementChild.dataset.id);
    return card;
  }

  #remove(id) {
    this.#cards.get(id)?.element.remove();
    this.#cards.delete(id);
  }

  /** An account is gone: nothing of it stays, nor what only passed it on. */
  #removeAll(userId) {
    const isTheirs = (post) =>
      post.author.id === userId || (post.repost_of?.author.id === userId && !post.text && post.media.length === 0);
    for (const { post } of [...this.#cards.values()]) if (isTheirs(post)) this.#remove(post.id);
    this.#held = this.#held.filter((post) => !isTheirs(post));
    this.#tellHeld();
  }

  #tellHeld() {
    this.$(".held").hidden = !this.#quiet;
    this.$(".held").textContent = `${many(this.#held.length, "post")} of others held back.`;
  }

  // The bell.

  #ring(unread) {
    this.#unread = unread;
    this.$(".unread").textContent = unread > 99 ? "99+" : String(unread);
    this.$(".unread").hidden = unread === 0;
    this.$(".bell").setAttribute("aria-label", `${this.name}'s bell, ${count(unread)} unread`);
    if (this.$(".news").hidden) return;
    this.#listNews();
  }

  #listNews() {
    this.$(".news").replaceChildren(...this.#news.map((item) => make("li", item.read ? "soft" : "", sentence(item))));
    if (this.#news.length === 0) this.$(".news").append(make("li", "soft", "Nothing yet."));
  }

  #openNews() {
    const list = this.$(".news");
    list.hidden = !list.hidden;
    this.$(".bell").setAttribute("aria-expanded", String(!list.hidden));
    if (list.hidden) return;
    this.#listNews();
    if (this.#unread > 0) this.#do(() => this.#readNews());
  }

  async #readNews() {
    const [newest] = this.#news;
    if (!newest) return;
    const { unread_count: unread } = await this.api.call("PUT", "/v1/notifications/read", { last_read_id: newest.id });
    for (const item of this.#news) item.read = true;
    this.#ring(unread);
  }

  // The network.

  #cut(cut) {
    if (cut) this.#leave();
    this.network.setCut(cut);
    this.session.networkChanged();
    this.page.story(cut ? "cut" : "joined", this);
    this.#state();
  }

  /** From now on things are missed: those of the other person are counted on this page, all of them by the server. */
  #leave() {
    this.#away = { at: performance.now(), newest: this.#newest, openedAt: null, untilMs: 0, news: 0 };
    this.$(".caught").hidden = true;
  }

  /** Whether this was made while the network was away, and is brought by the first moments after. */
  #wasMissed(item) {
    const away = this.#away;
    return Boolean(away?.openedAt) && newer(item.id, away.newest) && Date.parse(item.created_at) <= away.untilMs;
  }

  /** Back: asks the server what was missed, and waits until that is here. */
  async #back() {
    const away = this.#away;
    away.openedAt = performance.now();
    away.untilMs = Date.now();
    const page = await this.api.call("GET", `/v1/feed?limit=100&since_id=${away.newest}`).catch(() => null);
    if (!page || this.#away !== away) return;
    const missed = page.items.filter((post) => this.#wasMissed(post)).map((post) => post.id);
    const here = () => missed.filter((id) => this.#cards.has(id) || this.#held.some((post) => post.id === id)).length;
    while (here() < missed.length && performance.now() - away.openedAt < CAUGHT_UP_MS && this.#away === away) {
      await new Promise((wake) => setTimeout(wake, 20));
    }
    if (this.#away !== away) return;
    const ms = performance.now() - away.openedAt;
    const twice = this.feed.children.length - new Set([...this.feed.children].map((one) => one.dataset.id)).size;
    const lost = missed.length - here();
    this.#away = null;
    const caught = this.$(".caught");
    const news = away.news > 0 ? ` and ${many(away.news, "notification")}` : "";
    const left = lost + twice === 0 ? "Nothing lost, nothing twice" : `${lost} lost, ${twice} twice`;
    caught.textContent = `Away for ${((away.openedAt - away.at) / 1000).toFixed(1)} s, missed ${many(missed.length, "post")}${news}: all caught up in ${count(ms)} ms. ${left}.`;
    caught.dataset.missed = missed.length;
    caught.dataset.came = here();
    caught.hidden = false;
    this.page.story("caught", this);
  }

  #state() {
    const { status, transport, tried } = this.session;
    const { cut } = this.network;
    if (status === "open" && this.#away && !this.#away.openedAt && !cut) this.#back();
    const words = {
      open: `Connected by ${NAMES[transport]}.`,
      trying: `${cut ? "No network" : "Connecting"}: trying ${NAMES[transport]}…`,
      stopped: "The demo has begun anew: reload the page.",
      waiting: cut ? `No network. ${NAMES[transport]} is next.` : `Connecting: ${NAMES[transport]} is next.`,
    };
    this.pane.dataset.status = status;
    this.pane.dataset.transport = status === "open" ? transport : "";
    this.$(".switch").setAttribute("aria-checked", String(!cut));
    this.$(".switch .word").textContent = cut ? "Network cut" : "Network on";
    this.$(".status").textContent = words[status];
    [...this.$(".rungs").children].forEach((item, index) => {
      const rung = RUNGS[index];
      const blocked = this.network.blocked.has(rung);
      const here = rung === transport;
      item.className = status === "open" && here ? "open" : here ? "next" : tried.has(rung) ? "failed" : "";
      item.firstElementChild.setAttribute("aria-pressed", String(blocked));
      item.firstElementChild.title = blocked ? `Let ${NAMES[rung]} through again` : `Block ${NAMES[rung]}, as some proxies do`;
    });
  }

  #note(words) {
    this.$(".note").textContent = words;
  }
}
