// Live sessions: the calls, and a first page that is kept as it is now.

import type { Once } from "./calls.js";
import type { CallOptions, Http } from "./http.js";
import { Pages, type Paging } from "./paging.js";
import { randomKey } from "./random.js";
import { newer } from "./realtime/frames.js";
import type { Realtime } from "./realtime/realtime.js";
import type { Id, LiveChanged, LiveSession, NewLiveSession, Page, PatchLiveSession } from "./types.js";

/** Sessions of which a newer change is remembered than the page that is read shows; beyond, none is. */
const VERSIONS_MAX = 10_000;

/** Options of a watched page. */
export interface LiveWatchOptions {
  /** Sessions of the page, 1 to 100; 20 when absent. */
  limit?: number | undefined;
  /**
   * The page is this now. With `anew` it was read anew: pages below it belong to an earlier pass and are to be read
   * anew too, from `nextCursor` on.
   */
  changed(sessions: readonly LiveSession[], info: { anew: boolean; nextCursor: string | null }): void;
  /** The page could not be read anew; it is tried again with the next change. */
  failed?(error: unknown): void;
}

/** Live sessions. */
export class LiveCalls {
  constructor(private readonly http: Http) {}

  /** Announces a session; sent again, it is made once. */
  announce(session: NewLiveSession, once: Once = {}): Promise<LiveSession> {
    const idempotencyKey = once.idempotencyKey ?? randomKey();
    return this.http.json("POST", "/v1/live", { ...once, body: session, idempotencyKey });
  }

  get(id: Id, call?: CallOptions): Promise<LiveSession> {
    return this.http.json("GET", `/v1/live/${id}`, call);
  }

  /** The title at any time, `starts_at` while it is upcoming, `replay_url` once it is over. */
  update(id: Id, patch: PatchLiveSession, call?: CallOptions): Promise<LiveSession> {
    return this.http.json("PATCH", `/v1/live/${id}`, { ...call, body: patch });
  }

  /** Begins a session of the caller; again it changes nothing. */
  start(id: Id, call?: CallOptions): Promise<LiveSession> {
    return this.http.json("POST", `/v1/live/${id}/start`, call);
  }

  /** Ends a session of the caller; again it changes nothing. */
  end(id: Id, replay_url?: string, call?: CallOptions): Promise<LiveSession> {
    const body = replay_url === undefined ? {} : { replay_url };
    return this.http.json("POST", `/v1/live/${id}/end`, { ...call, body });
  }

  /** Cancels what is upcoming, or removes a replay; answers the session as it was last. */
  remove(id: Id, call?: CallOptions): Promise<LiveSession> {
    return this.http.json("DELETE", `/v1/live/${id}`, call);
  }

  /** Sessions of whom the caller follows, and the caller's own. All pages of a pass are of one moment. */
  feed(paging?: Paging): Pages<LiveSession> {
    return this.#list("/v1/live/feed", paging);
  }

  /** Sessions of one person; `user` is an id or `@handle`. */
  of(user: string, paging?: Paging): Pages<LiveSession> {
    return this.#list(`/v1/users/${encodeURIComponent(user).replace(/^%40/, "@")}/live`, paging);
  }

  /** A notification when the session begins. */
  remind(id: Id, call?: CallOptions): Promise<LiveSession> {
    return this.http.json("PUT", `/v1/live/${id}/reminder`, call);
  }

  noReminder(id: Id, call?: CallOptions): Promise<LiveSession> {
    return this.http.json("DELETE", `/v1/live/${id}/reminder`, call);
  }

  /** Reads the first page of the feed and keeps it as it is now, by what `realtime` hears. */
  watch(realtime: Realtime, options: LiveWatchOptions): LiveWatch {
    return new LiveWatch(this, realtime, options);
  }

  #list(path: string, paging: Paging = {}): Pages<LiveSession> {
    const { limit, signal, timeoutMs } = paging;
    const ask = (cursor: string | null | undefined) =>
      this.http.json<Page<LiveSession>>("GET", path, { signal, timeoutMs, query: { limit, cursor } });
    return new Pages<LiveSession>(ask, paging.cursor);
  }
}

/** First page of the live feed, kept until it is stopped. */
export class LiveWatch {
  readonly #page: KeptPage;
  readonly #ends: (() => void)[];
  #reading: Promise<void> | null = null;
  #again = false;
  #stopped = false;

  constructor(
    private readonly calls: LiveCalls,
    realtime: Realtime,
    private readonly options: LiveWatchOptions,
  ) {
    this.#page = new KeptPage(options.limit ?? 20);
    this.#ends = [
      realtime.on("live.changed", (changed) => this.#take(changed)),
      // What happened while nobody listened is not told.
      realtime.on("hello", () => void this.anew()),
    ];
    void this.anew();
  }

  /** The page. */
  get sessions(): readonly LiveSession[] {
    return this.#page.sessions;
  }

  /** Cursor of the page below, in the pass that the page was read in. */
  get nextCursor(): string | null {
    return this.#page.nextCursor;
  }

  /** Reads the page anew: after a follow, or when a page below answers `snapshot_expired`. */
  anew(): Promise<void> {
    if (this.#reading) {
      this.#again = true;
      return this.#reading;
    }
    this.#reading = this.#read().finally(() => (this.#reading = null));
    return this.#reading;
  }

  /** Hears of nothing any more. */
  stop(): void {
    this.#stopped = true;
    for (const end of this.#ends.splice(0)) end();
  }

  #take(changed: LiveChanged): void {
    // What is read now may be older than this.
    if (this.#reading) this.#again = true;
    const before = this.#page.take(changed);
    if (this.#page.stale) void this.anew();
    else if (before) this.#tell(false);
  }

  async #read(): Promise<void> {
    do {
      this.#again = false;
      try {
        const page = await this.calls.feed({ limit: this.#page.limit });
        this.#page.read(page);
      } catch (error) {
        if (!this.#stopped) this.options.failed?.(error);
        return;
      }
    } while (this.#again && !this.#stopped);
    this.#tell(true);
  }

  #tell(anew: boolean): void {
    if (!this.#stopped) this.options.changed(this.#page.sessions, { anew, nextCursor: this.#page.nextCursor });
  }
}

/** A page and what is known of its sessions. Without I/O. */
export class KeptPage {
  sessions: LiveSession[] = [];
  nextCursor: string | null = null;
  /** Frames alone do not keep it: it is to be read anew. */
  stale = false;
  /** Whether there are sessions below the page. */
  #more = false;
  readonly #versions = new Map<Id, Id>();

  constructor(readonly limit: number) {}

  read(page: Page<LiveSession>): void {
    this.sessions = [...page.items];
    this.nextCursor = page.next_cursor ?? null;
    this.#more = this.nextCursor !== null;
    this.stale = false;
  }

  /** Takes in a change; false when the page stays what it is. */
  take(changed: LiveChanged): boolean {
    const { version, removed, ...session } = changed;
    const known = this.#versions.get(session.id);
    if (known !== undefined && !newer(version, known)) return false;
    if (this.#versions.size >= VERSIONS_MAX) this.#versions.clear();
    this.#versions.set(session.id, version);
    const before = JSON.stringify(this.sessions);
    const here = this.sessions.find((one) => one.id === session.id);
    const kept = this.sessions.filter((one) => one.id !== session.id);
    if (!removed) {
      const placed: LiveSession = { ...session, reminder: here?.reminder ?? false };
      const after = kept.findIndex((one) => above(placed, one));
      const place = after < 0 ? kept.length : after;
      kept.splice(place, 0, placed);
      // The last of a page that is not the last one: sessions below it may go before it.
      if (place + 1 === kept.length && this.#more && kept.length <= this.limit) this.stale = true;
      if (kept.length > this.limit) this.#more = true;
    }
    this.sessions = kept.slice(0, this.limit);
    if (here && this.#more && this.sessions.length < this.limit) this.stale = true;
    return JSON.stringify(this.sessions) !== before;
  }
}

/** Whether `a` stands above `b`: live by its start, upcoming by its plan, replays by their end. */
function above(a: LiveSession, b: LiveSession): boolean {
  const [x, y] = [rank(a), rank(b)];
  if (x[0] !== y[0]) return x[0] > y[0];
  return x[1] === y[1] ? newer(a.id, b.id) : x[1] > y[1];
}

function rank(session: LiveSession): [number, number] {
  switch (session.state) {
    case "live":
      return [1, Date.parse(session.started_at ?? "")];
    case "replay":
      return [0, Date.parse(session.ended_at ?? "")];
    default:
      return [1, -Date.parse(session.starts_at)];
  }
}
