// Realtime as applications hold it: events by type, the state, a way to send. Behind it is either a session of this
// page's own or the session of another tab; the application cannot tell.

import type { Client } from "../client.js";
import type { Timer } from "../clock.js";
import { ProblemError, RealtimeError } from "../errors.js";
import { hash } from "../hash.js";
import type { TokenChange } from "../tokens.js";
import type { Gap, Id, Reset, Stream, Transport } from "../types.js";
import { fetcher, type Range } from "./fetchers.js";
import { type EventInfo, type Events, TRANSPORTS } from "./frames.js";
import { fresh, type HandedOut } from "./fresh.js";
import { Listeners } from "./listeners.js";
import { type RealtimeOptions, TIMES, type Times } from "./options.js";
import { Outbox } from "./outbox.js";
import { isOffline, watchPage } from "./page.js";
import { type Place, PlaceKeeper } from "./place.js";
import { WATCHED_MAX } from "./presence.js";
import { Seen } from "./seen.js";
import { Session } from "./session.js";
import { IDLE, type State } from "./state.js";
import { platformTabs, type SharedState, type TabMessage, type TabPlatform, Tabs } from "./tabs.js";
import { dialer, platformSocket } from "./transports/dial.js";
import { type Dial, UNAUTHENTICATED } from "./transports/transport.js";

/** Milliseconds for which a page must have been hidden before its connection is probed when it is shown. */
const HIDDEN_MS = 10_000;
/** Milliseconds before a function that has no token is asked again; doubled each time. */
const TOKEN_MS = 1_000;
const TOKEN_MS_MAX = 30_000;
/** Keys that tabs and storage know. */
const KEYS_KEPT = 200;

/** For tests: other transports, another browser. */
export interface Seams {
  dial?: Dial | undefined;
  tabs?: TabPlatform | null | undefined;
}

export class Realtime {
  readonly #client: Client;
  readonly #options: RealtimeOptions;
  readonly #seams: Seams;
  readonly #times: Times;
  readonly #listeners: Listeners;
  readonly #stateListeners = new Set<(state: State) => void>();
  #state: State = IDLE;
  #run = 0;
  #session: Session | null = null;
  #tabs: Tabs | null = null;
  #keeper: PlaceKeeper | null = null;
  #out: HandedOut = { seen: new Seen(), newest: {} };
  #cursor: string | null = null;
  #first: Transport | null = null;
  /** Frames of this tab that the leader is to send. */
  #outbox: Outbox;
  #watched: Id[] = [];
  /** People whom every tab watches; the leader's. */
  readonly #watchedBy = new Map<string, Id[]>();
  #unwatchPage: () => void = () => {};
  #forgetToken: () => void = () => {};
  /** Whether there is no token yet, as far as is known: nobody has logged in. */
  #nobody = false;
  #askAgain: Timer = null;

  constructor(client: Client, options: RealtimeOptions = {}, seams: Seams = {}) {
    this.#client = client;
    this.#options = options;
    this.#seams = seams;
    this.#times = { ...TIMES, ...options.times };
    this.#listeners = new Listeners(options.onListenerError);
    this.#outbox = new Outbox(client.http.clock);
  }

  /** State of the connection; a new object whenever it changes. */
  get state(): State {
    return this.#state;
  }

  /** Transport of the session; `null` while there is none. */
  get transport(): Transport | null {
    return this.#state.status === "open" ? this.#state.transport : null;
  }

  /** Whether the connection is this page's own. */
  get leading(): boolean {
    return this.#session !== null;
  }

  /** Cursor from which another connection of the same person would go on. */
  get cursor(): string | null {
    return this.#cursor;
  }

  /** Listens to a type of event: one of [Events], or one that an operator publishes. Answers how to stop. */
  on<K extends keyof Events>(type: K, listener: (data: Events[K], info: EventInfo) => void): () => void;
  on(type: string, listener: (data: unknown, info: EventInfo) => void): () => void;
  on(type: string, listener: (data: never, info: EventInfo) => void): () => void {
    return this.#listeners.add(type, listener as (data: unknown, info: EventInfo) => void);
  }

  /** Listens to every event. */
  onAny(listener: (data: unknown, info: EventInfo) => void): () => void {
    return this.#listeners.add("*", listener);
  }

  /** Hears every new state. */
  onState(listener: (state: State) => void): () => void {
    this.#stateListeners.add(listener);
    return () => this.#stateListeners.delete(listener);
  }

  /** Resolves when the connection is open; rejects when it has stopped for good. */
  opened(): Promise<void> {
    return new Promise((resolve, reject) => {
      const settled = (state: State) => {
        if (state.status === "open") resolve();
        else if (state.status === "stopped") reject(state.error);
        else return false;
        return true;
      };
      if (settled(this.#state)) return;
      const off = this.onState((state) => settled(state) && off());
    });
  }

  /**
   * Begins, and goes on until [stop]. Before a log-in it waits for the token; after a log-out it waits for the next one,
   * and when somebody else logs in it begins anew, as theirs.
   */
  start(): this {
    if (this.#state.status !== "idle" && this.#state.status !== "stopped") return this;
    this.stop();
    this.#forgetToken = this.#client.http.onToken((change) => this.#tokenChanged(change));
    this.#launch();
    return this;
  }

  /** Ends; `forget` drops the kept place too, so that the next start is a fresh one. */
  stop(options: { forget?: boolean | undefined } = {}): void {
    this.#forgetToken();
    this.#halt(options.forget ?? false);
    if (this.#state !== IDLE) this.#to(IDLE);
  }

  /** Sends a frame, now or when the connection is back; what the reply says, or its problem. */
  send(type: string, data?: unknown): Promise<unknown> {
    if (this.#session) return this.#session.connection.send(type, data);
    const { frame, reply } = this.#outbox.put(type, data);
    this.#tabs?.post({ t: "send", tab: this.#tabs.id, ref: frame.ref, type, data });
    return reply;
  }

  /** Milliseconds to the server and back. */
  async ping(): Promise<number> {
    const before = this.#client.http.clock.now();
    await this.send("ping");
    return this.#client.http.clock.now() - before;
  }

  /** Moves the feed's read marker, on all devices. */
  async markFeedRead(lastReadId: Id): Promise<void> {
    await this.send("feed.read", { last_read_id: lastReadId });
  }

  /** Asks for `presence` of these people, up to 200 in all tabs together, in place of those before. */
  watchPresence(userIds: Id[]): void {
    this.#watched = [...new Set(userIds)].slice(0, WATCHED_MAX);
    if (this.#session) this.#watchAll();
    else if (this.#tabs) this.#tabs.post({ t: "watch", tab: this.#tabs.id, watch: this.#watched });
  }

  /**
   * Reads over HTTP what a `gap` or a `reset` left out, when `recover` is off. What it answers counts as seen: it is not
   * pushed again. After a reset it goes back to the newest item that was handed out, or not at all if there is none.
   */
  async fill(missed: Gap | Reset): Promise<Range> {
    const read = fetcher(this.#client);
    const streams: Stream[] = "streams" in missed ? missed.streams : [missed.stream];
    const whole: Range = { posts: [], notifications: [], complete: true };
    for (const stream of streams) {
      const after = "streams" in missed ? this.#out.newest[stream] : missed.after;
      if (after === undefined) continue;
      const range = await read(stream, after, "streams" in missed ? null : missed.before);
      const posts = fresh(this.#out, "feed.posts", { items: range.posts }) as Events["feed.posts"] | null;
      whole.posts.push(...(posts?.items ?? []));
      whole.notifications.push(...range.notifications.filter((item) => fresh(this.#out, "notification", item) !== null));
      whole.complete &&= range.complete;
    }
    return whole;
  }

  /** Tells that the network or the machine came back, where nothing else does (React Native, Electron). */
  wake(): void {
    if (this.#nobody) this.#launch();
    else if (this.#session) this.#session.connection.wake();
    else this.#tabs?.post({ t: "wake" });
  }

  #launch(tries = 0): void {
    this.#run += 1;
    this.#nobody = true;
    this.#client.http.clock.cancel(this.#askAgain);
    if (tries === 0) this.#to({ status: "connecting", transport: null, retryAt: null, error: null });
    void this.#begin(this.#run, tries);
  }

  #halt(forget: boolean): void {
    this.#run += 1;
    this.#nobody = false;
    this.#client.http.clock.cancel(this.#askAgain);
    this.#unwatchPage();
    if (forget) {
      this.#keeper?.forget();
      this.#cursor = null;
      this.#out = { seen: new Seen(), newest: {} };
    } else this.#keeper?.flush();
    const session = this.#session;
    // First, so that the other tabs do not hear of an end that is not theirs.
    this.#session = null;
    session?.stop();
    this.#tabs?.stop();
    this.#tabs = null;
    this.#watchedBy.clear();
    this.#outbox.fail(new RealtimeError(1000, "realtime was stopped"));
  }

  /** Somebody logged in, logged out, or brought a fresh token. */
  #tokenChanged(change: TokenChange): void {
    // What waits for a token, or was stopped for want of one, goes on. What runs does not need to know of a fresh one.
    const wanting = this.#nobody || this.#state.error?.code === UNAUTHENTICATED;
    if (!change.gone && !change.another && !wanting) return;
    this.#halt(change.gone || change.another);
    this.#launch();
  }

  /** The token of whose events these are; `null` while nobody is logged in. */
  async #token(): Promise<string | null> {
    const { tokens } = this.#client.http;
    try {
      return (await tokens.current()) ?? (tokens.renewable ? await tokens.renew(null) : null);
    } catch {
      return null;
    }
  }

  /** Nobody is there yet. `setToken` and log-ins say when; a function that gives tokens is asked, ever more rarely. */
  #awaitToken(tries: number): void {
    const { clock, tokens } = this.#client.http;
    const ms = Math.min(TOKEN_MS * 2 ** tries, TOKEN_MS_MAX);
    const retryAt = tokens.asked ? clock.now() + ms : null;
    if (retryAt !== null) this.#askAgain = clock.after(ms, () => this.#launch(tries + 1));
    this.#to({ status: "waiting", transport: null, retryAt, error: null });
  }

  async #begin(run: number, tries: number): Promise<void> {
    const { tabs, storage } = this.#options;
    const token = await this.#token();
    if (run !== this.#run) return;
    if (token === null && !this.#client.http.fetchesItself) return this.#awaitToken(tries);
    this.#nobody = false;
    const who = typeof tabs === "string" ? tabs : (token ?? "");
    const name = `fanfare:${hash(`${this.#client.http.baseUrl} ${who}`)}`;
    this.#keeper = new PlaceKeeper(storage, name, this.#client.http.clock);
    this.#restore(this.#keeper.load());
    this.#unwatchPage = watchPage({
      online: () => this.#session?.connection.online(),
      offline: () => this.#session?.connection.offline(),
      shown: (ms) => this.#shown(ms),
      hidden: () => this.#keeper?.flush(),
      left: () => this.#keeper?.flush(),
    });
    const platform = this.#seams.tabs === undefined ? platformTabs() : this.#seams.tabs;
    if (tabs === false || !platform) return this.#lead();
    this.#tabs = new Tabs(platform, name, this.#client.http.clock, this.#times, {
      lead: () => this.#lead(),
      resign: () => this.#resign(),
      message: (message) => this.#message(message),
    });
    this.#tabs.post({ t: "join", tab: this.#tabs.id, watch: this.#watched });
  }

  #restore(place: Place): void {
    // A restart in the same page knows better than what was kept.
    if (this.#cursor !== null) return;
    this.#cursor = place.cursor;
    this.#first = place.transport;
    this.#out = { seen: new Seen(undefined, place.keys), newest: { ...place.newest } };
  }

  /** Takes the connection over: at the start of a lone page, or when the tab that led is gone. */
  #lead(): void {
    const Socket = this.#options.WebSocket ?? platformSocket();
    const wanted = this.#options.transports ?? TRANSPORTS;
    const transports = wanted.filter((transport) => transport !== "websocket" || Socket || this.#seams.dial);
    const { http } = this.#client;
    this.#session = new Session({
      client: this.#client,
      clock: http.clock,
      dial: this.#seams.dial ?? dialer(http, Socket, this.#times),
      times: this.#times,
      transports: transports.length > 0 ? transports : TRANSPORTS.slice(1),
      recover: this.#options.recover ?? true,
      out: this.#out,
      cursor: this.#cursor,
      first: this.#first,
      emit: (info, data) => {
        this.#listeners.call(info, data);
        this.#tabs?.post({ t: "event", info, data, cursor: this.#cursor });
      },
      commit: (cursor) => {
        this.#keep(cursor);
        this.#tabs?.post({ t: "cursor", cursor });
      },
      state: (state) => this.#to(state),
    });
    this.#watchAll();
    for (const frame of this.#outbox.waiting()) this.#forward(frame.ref, frame.type, frame.data);
    if (isOffline()) this.#session.connection.offline();
    this.#session.start();
    if (this.#tabs) {
      this.#tabs.post({ t: "lead", tab: this.#tabs.id, state: shared(this.#state), cursor: this.#cursor });
    }
  }

  /** Gives up the lead to another tab; what this one had open is closed without a word. */
  #resign(): void {
    const session = this.#session;
    this.#session = null;
    session?.stop();
    this.#watchedBy.clear();
    if (this.#tabs) this.#tabs.post({ t: "join", tab: this.#tabs.id, watch: this.#watched });
  }

  #message(message: TabMessage): void {
    if (this.#session) this.#asLeader(message, this.#session);
    else this.#asFollower(message);
  }

  #asLeader(message: TabMessage, session: Session): void {
    const answer = () => this.#tabs?.post({ t: "lead", tab: this.#tabs.id, state: shared(this.#state), cursor: this.#cursor });
    switch (message.t) {
      case "join":
      case "watch":
        this.#watchedBy.set(message.tab, message.watch);
        this.#watchAll();
        return message.t === "join" ? answer() : undefined;
      case "bye":
        this.#watchedBy.delete(message.tab);
        return this.#watchAll();
      case "there":
        return this.#tabs?.post({ t: "state", state: shared(this.#state) });
      case "wake":
        return session.connection.wake();
      case "send":
        return this.#answer(message, session.connection.send(message.type, message.data));
      default:
        return undefined;
    }
  }

  #answer(asked: { tab: string; ref: number }, reply: Promise<unknown>): void {
    const { tab, ref } = asked;
    reply.then(
      (data) => this.#tabs?.post({ t: "reply", tab, ref, ok: true, data }),
      (error: Error) => {
        const problem = error instanceof ProblemError ? error.problem : undefined;
        this.#tabs?.post({ t: "reply", tab, ref, ok: false, problem, message: error.message });
      },
    );
  }

  #asFollower(message: TabMessage): void {
    switch (message.t) {
      case "lead":
        if (message.cursor) this.#keep(message.cursor);
        this.#to(unshared(message.state));
        this.#tabs?.post({ t: "watch", tab: this.#tabs.id, watch: this.#watched });
        // What the leader before did not answer.
        for (const frame of this.#outbox.waiting()) {
          this.#tabs?.post({ t: "send", tab: this.#tabs.id, ref: frame.ref, type: frame.type, data: frame.data });
        }
        return;
      case "state":
        return this.#to(unshared(message.state));
      case "event": {
        const news = fresh(this.#out, message.info.type, message.data);
        if (news !== null || message.data === null) this.#listeners.call(message.info, news);
        return;
      }
      case "cursor":
        return this.#keep(message.cursor);
      case "reply":
        if (message.tab !== this.#tabs?.id) return;
        this.#outbox.settle({ ...message, type: "reply", error: message.problem ?? null });
        return;
      default:
        return;
    }
  }

  /** A frame of this tab's that waited while another led. */
  #forward(ref: number, type: string, data: unknown): void {
    this.#session?.connection.send(type, data).then(
      (answer) => this.#outbox.settle({ type: "reply", ref, ok: true, data: answer }),
      (error: unknown) =>
        this.#outbox.settle({ type: "reply", ref, ok: false, error: error instanceof ProblemError ? error.problem : null }),
    );
  }

  #watchAll(): void {
    this.#session?.watch([...this.#watched, ...[...this.#watchedBy.values()].flat()]);
  }

  #shown(hiddenMs: number): void {
    if (this.#session) {
      if (hiddenMs >= HIDDEN_MS) this.#session.connection.wake(false);
      return;
    }
    this.#tabs?.check();
  }

  #keep(cursor: string): void {
    this.#cursor = cursor;
    const place = (): Place => ({
      cursor: this.#cursor,
      keys: this.#out.seen.newest(KEYS_KEPT),
      newest: this.#out.newest,
      transport: this.transport ?? this.#first,
    });
    if (this.#session) this.#keeper?.save(place);
  }

  #to(state: State): void {
    this.#state = state;
    if (state.status === "open") this.#first = state.transport;
    for (const listener of [...this.#stateListeners]) this.#listeners.guard(() => listener(state));
    if (this.#session) this.#tabs?.post({ t: "state", state: shared(state) });
  }
}

function shared(state: State): SharedState {
  const error = state.error && { code: state.error.code, message: state.error.message };
  return { ...state, error };
}

function unshared(state: SharedState): State {
  return { ...state, error: state.error && new RealtimeError(state.error.code, state.error.message) };
}
