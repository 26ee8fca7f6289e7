// The list of conversations over HTTP: its first page, further ones when asked for, and by change after every pause.

import type { Clock, Timer } from "../clock.js";
import { ProblemError } from "../errors.js";
import type { Id } from "../types.js";
import type { Conversations } from "./calls.js";
import { type Folder, FOLDERS } from "./list.js";
import type { Conversation, ConversationPage, UnreadConversations } from "./types.js";

/** Milliseconds in which several reasons to read are one. */
const GRACE_MS = 50;
/** Milliseconds before a reading that failed is tried again; doubled each time. */
const PAUSE_MS = 1_000;
const PAUSE_MS_MAX = 30_000;
/** Conversations of a page. */
const PAGE = 100;
const NONE: UnreadConversations = { conversations: 0, messages: 0, mentions: 0, requests: 0 };

/** Parts of a syncer. */
export interface SyncParts {
  clock: Clock;
  calls: Conversations;
  /** Number of a reading that begins now. */
  next(): number;
  told(conversation: Conversation, reading: number): void;
  /** Everything up to this value of `changed_after` was told. */
  whole(cursor: string): void;
  /** The list was read from its beginning, by a reading of this number first, and these stood on the first pages. */
  anew(listed: ReadonlySet<Id>, began: number): void;
  /** `hasMore` or `unread` changed. */
  changed(): void;
}

export class Syncer {
  /** Value of `changed_after` for the next time. */
  cursor: string | null = null;
  /** Cursors at which folders go on; `null` at the end of a folder, absent before its first page. */
  readonly #next = new Map<Folder, string | null>();
  #running = false;
  #again = false;
  #tries = 0;
  #timer: Timer = null;
  #stopped = false;
  /** The server's numbers for badges, and those of the conversations that were known then. */
  #unread: { told: UnreadConversations; known: UnreadConversations } | null = null;
  #known: UnreadConversations = NONE;
  #counting = false;

  constructor(private readonly parts: SyncParts) {}

  /** Whether there are conversations of a folder that were not read yet. */
  hasMore(folder: Folder): boolean {
    return this.#next.get(folder) !== null;
  }

  /** Whether every conversation that counts for badges is known. */
  get #complete(): boolean {
    return !this.hasMore("inbox") && !this.hasMore("requests");
  }

  /** Whether nothing is being read or will be. */
  get idle(): boolean {
    return !this.#running && this.#timer === null && !this.#counting;
  }

  /** Numbers of all conversations, from those of the known ones. */
  unread(known: UnreadConversations): UnreadConversations {
    this.#known = known;
    if (this.#complete || !this.#unread) return known;
    const { told, known: then } = this.#unread;
    const sum = { ...NONE };
    for (const key of Object.keys(sum) as (keyof UnreadConversations)[]) sum[key] = Math.max(0, told[key] + known[key] - then[key]);
    return sum;
  }

  /** Reads what changed, soon. */
  sync(graceMs: number = GRACE_MS): void {
    if (this.#stopped) return;
    if (this.#running) this.#again = true;
    else if (this.#timer === null) this.#later(graceMs);
  }

  /** The network is back: what failed is read now. */
  kick(): void {
    if (this.#timer === null || this.#running) return;
    this.parts.clock.cancel(this.#timer);
    this.#later(0);
  }

  /** A conversation became known that stood on no page. */
  added(): void {
    if (!this.#complete && this.#unread && !this.#running) void this.#count();
  }

  /** Reads the next page of a folder; whether there are still more. */
  async more(folder: Folder): Promise<boolean> {
    if (!this.hasMore(folder)) return false;
    await this.#page(folder, this.#next.get(folder));
    if (!this.#stopped) await this.#count();
    return this.hasMore(folder);
  }

  stop(): void {
    this.#stopped = true;
    this.parts.clock.cancel(this.#timer);
    this.#timer = null;
  }

  #later(ms: number): void {
    this.#timer = this.parts.clock.after(ms, () => {
      this.#timer = null;
      void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    this.#again = false;
    let pause: number | null = null;
    try {
      await this.#read();
      this.#tries = 0;
    } catch {
      pause = Math.min(PAUSE_MS * 2 ** this.#tries, PAUSE_MS_MAX) * (0.5 + this.parts.clock.random() / 2);
      this.#tries += 1;
    }
    this.#running = false;
    if (this.#stopped) return;
    if (pause !== null) this.#later(pause);
    else if (this.#again) this.#later(GRACE_MS);
  }

  async #read(): Promise<void> {
    if (this.cursor !== null) {
      try {
        await this.#changes(this.cursor);
      } catch (error) {
        if (!(error instanceof ProblemError && (error.code === "snapshot_expired" || error.status === 400))) throw error;
        this.cursor = null;
      }
    }
    if (this.cursor === null && !this.#stopped) await this.#first();
    if (!this.#stopped) await this.#count();
  }

  /** Everything that changed since the last time. */
  async #changes(after: string): Promise<void> {
    let [cursor, next]: [string | null, string | null] = [null, after];
    do {
      const reading = this.parts.next();
      const page: ConversationPage = await this.parts.calls.list({ changed_after: next, limit: PAGE });
      if (this.#stopped) return;
      // Of the first page: what happens while the others are read comes again.
      cursor ??= page.changes_cursor;
      for (const conversation of page.items) this.parts.told(conversation, reading);
      next = page.next_cursor ?? null;
    } while (next !== null);
    this.#reached(cursor);
  }

  /** The first page of each folder, in place of what was known. */
  async #first(): Promise<void> {
    // The inbox first: it is what a screen shows, and its cursor is the oldest.
    const began = this.parts.next();
    const pages: (ConversationPage | null)[] = [];
    for (const folder of FOLDERS) pages.push(await this.#page(folder, null));
    const cursor = pages[0]?.changes_cursor;
    if (this.#stopped || cursor === undefined) return;
    this.parts.anew(new Set(pages.flatMap((page) => page?.items ?? []).map(({ id }) => id)), began);
    this.#reached(cursor);
    // What was let go because of these pages may have changed meanwhile.
    this.#again = true;
  }

  async #page(folder: Folder, cursor: string | null | undefined): Promise<ConversationPage | null> {
    const reading = this.parts.next();
    const page = await this.parts.calls.list({ folder, limit: PAGE, cursor });
    if (this.#stopped) return null;
    this.#next.set(folder, page.next_cursor ?? null);
    for (const conversation of page.items) this.parts.told(conversation, reading);
    return page;
  }

  #reached(cursor: string): void {
    this.cursor = cursor;
    this.parts.whole(cursor);
    this.parts.changed();
  }

  /** Badges of a list that is not read to its end are counted by the server. */
  async #count(): Promise<void> {
    if (this.#complete || this.#counting) return;
    this.#counting = true;
    try {
      const told = await this.parts.calls.unread();
      if (this.#stopped) return;
      // Let the numbers of the known ones be counted as they are now.
      this.#unread = null;
      this.parts.changed();
      this.#unread = { told, known: this.#known };
      this.parts.changed();
    } catch {
      // The next reading counts again.
    } finally {
      this.#counting = false;
    }
  }
}
