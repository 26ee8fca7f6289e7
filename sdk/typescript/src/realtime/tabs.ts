// Sharing of one connection by all tabs: a lock chooses the tab that leads, a channel carries what it hears to the
// others. When the leader goes, or falls silent, the next one takes over from the last cursor that all of them know.

import type { Clock, Timer } from "../clock.js";
import { randomKey } from "../random.js";
import type { EventInfo } from "./frames.js";
import type { State } from "./state.js";
import type { Problem } from "../types.js";

/** Messages between tabs. */
export type TabMessage =
  /** A tab is there; the leader answers `state` and takes its watch list. */
  | { t: "join"; tab: string; watch: string[] }
  | { t: "bye"; tab: string }
  | { t: "watch"; tab: string; watch: string[] }
  /** A frame for the server; the leader answers `reply`. */
  | { t: "send"; tab: string; ref: number; type: string; data: unknown }
  | { t: "reply"; tab: string; ref: number; ok: boolean; data?: unknown; problem?: Problem | undefined; message?: string }
  /** The leader's, when it begins and whenever it changes. */
  | { t: "lead"; tab: string; state: SharedState; cursor: string | null }
  | { t: "state"; state: SharedState }
  | { t: "event"; info: EventInfo; data: unknown; cursor: string | null }
  | { t: "cursor"; cursor: string }
  /** Is the leader there? It answers with `state`. */
  | { t: "there" }
  /** The network or the machine came back, as another tab noticed. */
  | { t: "wake" };

/** Messages that every sharing has: a tab leaves, a tab asks whether somebody leads. */
type AnyTabMessage = { t: "bye"; tab: string } | { t: "there" };

/** Messages that only a leader posts: they show that it lives. */
const LEADERS: readonly string[] = ["lead", "state", "event", "cursor", "reply"];

/** A state as it can be sent: errors lose their class on the way. */
export interface SharedState extends Omit<State, "error"> {
  error: { code: number; message: string } | null;
}

/** The part of BroadcastChannel that is used. */
export interface ChannelLike {
  onmessage: ((event: { data: unknown }) => void) | null;
  postMessage(message: unknown): void;
  close(): void;
}

/** The part of Web Locks that is used. */
export interface LocksLike {
  request(
    name: string,
    options: { steal?: boolean; signal?: AbortSignal },
    callback: () => Promise<void>,
  ): Promise<unknown>;
}

/** Platform that a page brings for sharing. */
export interface TabPlatform {
  locks: LocksLike;
  channel(name: string): ChannelLike;
}

/** The page's own, or `null` where tabs cannot share: outside of browsers, and on pages without TLS. */
export function platformTabs(): TabPlatform | null {
  const scope = globalThis as { navigator?: { locks?: LocksLike }; document?: unknown; isSecureContext?: boolean };
  const locks = scope.navigator?.locks;
  // Node has BroadcastChannel too, and newer ones locks; a process is no tab.
  if (!locks || typeof BroadcastChannel === "undefined" || scope.document === undefined) return null;
  return { locks, channel: (name) => new BroadcastChannel(name) as unknown as ChannelLike };
}

/** Reactions of a tab to changes of its part. */
export interface TabEvents<M = TabMessage> {
  lead(): void;
  /** Called when another tab took the lead away: this one was thought dead. */
  resign(): void;
  message(message: M | AnyTabMessage): void;
}

/** Part of one tab in sharing; `leaders` are the messages that show that a leader lives. */
export class Tabs<M extends { t: string } = TabMessage> {
  readonly id: string = randomKey();
  #leading = false;
  #stopped = false;
  #heard: number;
  #timer: Timer = null;
  #letGo: () => void = () => {};
  readonly #waiting = new AbortController();
  readonly #channel: ChannelLike;

  constructor(
    private readonly platform: TabPlatform,
    private readonly name: string,
    private readonly clock: Clock,
    private readonly times: { leaderSilenceMs: number; leaderAnswerMs: number },
    private readonly events: TabEvents<M>,
    private readonly leaders: readonly string[] = LEADERS,
  ) {
    this.#heard = clock.now();
    this.#channel = platform.channel(name);
    this.#channel.onmessage = (event) => this.#message(event.data as M | AnyTabMessage);
    this.#stand({ signal: this.#waiting.signal });
    this.#watchLater();
  }

  get leading(): boolean {
    return this.#leading;
  }

  post(message: M | AnyTabMessage): void {
    if (!this.#stopped) this.#channel.postMessage(message);
  }

  /** Leaves: another tab leads from now on. */
  stop(): void {
    if (this.#stopped) return;
    this.post({ t: "bye", tab: this.id });
    this.#stopped = true;
    this.#waiting.abort();
    this.#letGo();
    this.clock.cancel(this.#timer);
    this.#channel.close();
  }

  /** Makes sure that somebody leads; for a tab that is being looked at. */
  check(): void {
    if (this.#leading || this.#stopped) return;
    this.post({ t: "there" });
    const asked = this.clock.now();
    this.clock.cancel(this.#timer);
    this.#timer = this.clock.after(this.times.leaderAnswerMs, () => {
      // Nobody answered: a frozen tab holds the lock.
      if (this.#heard < asked && !this.#leading && !this.#stopped) this.#stand({ steal: true });
      this.#watchLater();
    });
  }

  /** Waits in line for the lock, or takes it, and holds it for as long as this tab leads. */
  #stand(options: { steal?: boolean; signal?: AbortSignal }): void {
    const hold = () =>
      new Promise<void>((resolve) => {
        if (this.#stopped || this.#leading) return resolve();
        this.#leading = true;
        this.#letGo = () => {
          this.#leading = false;
          resolve();
        };
        this.events.lead();
      });
    const mine = this.platform.locks.request(this.name, options, hold);
    mine.catch(() => {
      // Either this tab left, or another one stole the lock from it.
      if (this.#stopped || !this.#leading) return;
      this.#leading = false;
      this.events.resign();
      this.#stand({ signal: this.#waiting.signal });
    });
  }

  #message(message: M | AnyTabMessage): void {
    if (this.#stopped) return;
    if (!this.#leading && this.leaders.includes(message.t)) this.#heard = this.clock.now();
    this.events.message(message);
  }

  #watchLater(): void {
    this.clock.cancel(this.#timer);
    if (this.#stopped) return;
    this.#timer = this.clock.after(this.times.leaderSilenceMs, () => {
      const silent = this.clock.now() - this.#heard >= this.times.leaderSilenceMs;
      const looked = (globalThis as { document?: { visibilityState?: string } }).document?.visibilityState !== "hidden";
      if (silent && looked && !this.#leading) this.check();
      else this.#watchLater();
    });
  }
}
