// Sharing between the tabs of a browser: one of them sends what waits and keeps what is shown; the others hand their
// messages over through the storage, and hear what became of them.

import type { Clock } from "../clock.js";
import { TIMES } from "../realtime/options.js";
import { type TabPlatform, Tabs } from "../realtime/tabs.js";
import type { Keeper } from "./keeper.js";
import type { ChatOutbox, Outgoing } from "./outbox.js";
import type { ChatStorage } from "./storage.js";
import type { Message } from "./types.js";

/** Messages between tabs. */
type ChatTabMessage =
  /** An entry of the outbox is new or another; it stands in the storage. */
  | { t: "entry"; entry: Outgoing }
  /** An entry has arrived, or was discarded. */
  | { t: "left"; entry: Outgoing; message: Message | null }
  /** The leader's, when it begins and when it is asked for. */
  | { t: "here" };

/** Parts of sharing. */
export interface SharedParts {
  clock: Clock;
  storage: ChatStorage;
  outbox: ChatOutbox;
  keeper: Keeper;
  /** Value of `changed_after` that is reached. */
  cursor(): string | null;
  changed(entry: Outgoing): void;
  left(entry: Outgoing, message: Message | null): void;
}

export class Shared {
  #tabs: Tabs<ChatTabMessage> | null = null;
  #leading = false;

  constructor(private readonly parts: SharedParts) {}

  /** Whether this tab speaks for all. */
  get leading(): boolean {
    return this.#leading;
  }

  /** Waits in line to lead; a page that shares with none leads at once. */
  start(platform: TabPlatform | null, name: string): void {
    if (!platform) return void this.#lead();
    const lead = () => void this.#lead();
    const resign = () => this.#resign();
    const message = (heard: ChatTabMessage | { t: "bye" } | { t: "there" }) => this.#heard(heard);
    this.#tabs = new Tabs<ChatTabMessage>(platform, name, this.parts.clock, TIMES, { lead, resign, message }, ["here"]);
  }

  stop(): void {
    this.#resign();
    this.#tabs?.stop();
    this.#tabs = null;
  }

  /** Tells the others of an entry that stands in the storage. */
  entry(entry: Outgoing): void {
    this.#tabs?.post({ t: "entry", entry });
  }

  /** Tells the others of an entry that has left. */
  left(entry: Outgoing, message: Message | null): void {
    this.#tabs?.post({ t: "left", entry, message });
  }

  /** Makes sure that somebody leads; for a tab that is being looked at. */
  check(): void {
    this.#tabs?.check();
  }

  async #lead(): Promise<void> {
    const { storage, outbox, keeper, cursor } = this.parts;
    this.#leading = true;
    // Another tab may have led until now: what it left is in the storage.
    const kept = await storage.load().catch(() => null);
    if (!this.#leading) return;
    for (const entry of kept?.outbox ?? []) outbox.take(entry);
    outbox.lead();
    keeper.lead(cursor());
    this.#tabs?.post({ t: "here" });
  }

  #resign(): void {
    this.#leading = false;
    this.parts.outbox.resign();
    this.parts.keeper.resign();
  }

  #heard(message: ChatTabMessage | { t: "bye" } | { t: "there" }): void {
    switch (message.t) {
      case "there":
        if (this.#leading) this.#tabs?.post({ t: "here" });
        return;
      case "entry":
        this.parts.outbox.take(message.entry);
        return this.parts.changed(message.entry);
      case "left":
        this.parts.outbox.forget(message.entry.message.client_id);
        return this.parts.left(message.entry, message.message);
      default:
        return;
    }
  }
}
