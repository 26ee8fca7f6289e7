// Keeps one session going, whatever the network does. The ladder decides, the links carry, this puts them together:
// one link in use, at most one beside it that is to take over, and timers for everything that may not happen.

import type { Clock, Timer } from "../clock.js";
import { RealtimeError } from "../errors.js";
import type { Drain, Hello, Id, Transport } from "../types.js";
import { CONNECTION_TYPES, type Frame } from "./frames.js";
import * as steps from "./ladder.js";
import type { ConnectionTimes } from "./options.js";
import { Outbox } from "./outbox.js";
import { Seen } from "./seen.js";
import { type State, IDLE } from "./state.js";
import { type Dial, type End, FATAL, type Link, TOO_MANY, UNAUTHENTICATED } from "./transports/transport.js";
import { Watchdog } from "./watchdog.js";

/** Seconds between two signs of life before a hello said otherwise. */
const HEARTBEAT_S_DEFAULT = 30;
/** Current values and operators' events that are remembered, to know them again when a second link brings them too. */
const PASSING_MAX = 256;
/** Milliseconds after which a frame that came at a bad moment is sent again, at least. */
const AGAIN_MS = 1_000;
/** Refusals of the token in a row, each with a fresh ticket, after which it is no use. */
const REFUSALS_MAX = 2;

/** Parts of a connection. */
export interface ConnectionParts {
  dial: Dial;
  clock: Clock;
  times: ConnectionTimes;
  transports: readonly Transport[];
  /** Cursor to resume from, and transport that worked last. */
  cursor: string | null;
  first: Transport | null;
  /** Every frame that is not the connection's own, once a link. */
  frame(frame: Frame): void;
  state(state: State): void;
}

/** Each at most once at a time. */
type TimerName = "first" | "probe" | "retry" | "climb" | "candidate" | "drain";

/** A link with what belongs to it. */
interface Carried {
  link: Link;
  opened: boolean;
  session: Id | null;
  watchdog: Watchdog | null;
}

export class Connection {
  readonly outbox: Outbox;
  #state: State = IDLE;
  #ladder: steps.Ladder;
  #cursor: string | null;
  #heartbeatMs = HEARTBEAT_S_DEFAULT * 1000;
  #current: Carried | null = null;
  #candidate: Carried | null = null;
  readonly #timers = new Map<TimerName, Timer>();
  /** Frames without id, by text, with the link that brought them. */
  readonly #passing = new Seen(PASSING_MAX);
  readonly #origins = new Map<string, Link>();
  /** Transports still to be tried beside the link in use: what comes next, for how long, and what if nothing opens. */
  #untried: Transport[] = [];
  #candidateMs = 0;
  #noneOpened: () => void = () => {};
  #refusals = 0;
  #tooMany = 0;
  #offline = false;
  /** The pause was asked for by the server: waking up is no reason to cut it short. */
  #asked = false;
  #stopped = true;

  constructor(private readonly parts: ConnectionParts) {
    this.outbox = new Outbox(parts.clock);
    this.#cursor = parts.cursor;
    this.#ladder = steps.ladder(parts.transports, parts.first);
  }

  get state(): State {
    return this.#state;
  }

  /** Cursor from which the next link resumes. */
  get cursor(): string | null {
    return this.#cursor;
  }

  /** The session that client frames belong to; `null` on polls. */
  get sessionId(): Id | null {
    return this.#current?.session ?? null;
  }

  start(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#refusals = 0;
    this.#connect();
  }

  /** Ends the session; `error` says why when it was not the application that wanted it. */
  stop(error: RealtimeError | null = null): void {
    this.#stopped = true;
    for (const name of [...this.#timers.keys()]) this.#cancel(name);
    this.#drop("candidate");
    this.#drop("current");
    this.outbox.fail(error ?? new RealtimeError(1000, "realtime was stopped"));
    this.#to(error ? { ...IDLE, status: "stopped", error } : IDLE);
  }

  /** Sends a frame now, or as soon as a link stands; the reply's data. */
  send(type: string, data?: unknown): Promise<unknown> {
    const { frame, reply } = this.outbox.put(type, data);
    if (this.#current?.opened) this.#current.link.send([frame]);
    return reply;
  }

  /** The network, or the machine, came back: makes sure that the link is alive, or tries at once. */
  wake(networkChanged = true): void {
    if (this.#stopped) return;
    if (networkChanged) {
      this.#ladder = steps.networkChanged(this.#ladder);
      this.#climbLater();
    }
    if (this.#current?.opened) return this.#probe(this.#current);
    if (this.#current === null && !this.#asked) this.#connect();
  }

  /** The browser says that there is no network. It may be wrong, so that tries go on, rarely. */
  offline(): void {
    this.#offline = true;
    if (this.#current?.opened || this.#stopped) return;
    this.#drop("current");
    this.#retry(this.parts.times.offlineMs);
  }

  online(): void {
    this.#offline = false;
    this.wake();
  }

  #connect(): void {
    this.#cancel("retry");
    this.#cancel("drain");
    this.#drop("candidate");
    this.#drop("current");
    this.#asked = false;
    const transport = steps.current(this.#ladder);
    this.#to({ status: "connecting", transport, retryAt: null, error: null });
    this.#current = this.#dial(transport);
    // Closed by now when it could not even begin.
    if (this.#current) this.#after("first", this.parts.times.firstFrameMs, () => this.#tooLate());
  }

  #dial(transport: Transport): Carried | null {
    let carried: Carried | null = null;
    const mine = () => carried !== null && (carried === this.#current || carried === this.#candidate);
    const link = this.parts.dial(transport, () => this.#cursor, {
      alive: () => mine() && this.#alive(carried as Carried),
      opened: () => mine() && this.#opened(carried as Carried),
      frame: (frame) => mine() && this.#frame(carried as Carried, frame),
      cursor: (cursor) => carried === this.#current && (this.#cursor = cursor),
      ended: (end) => mine() && this.#ended(carried as Carried, end),
    });
    carried = { link, opened: false, session: null, watchdog: null };
    return carried;
  }

  #alive(carried: Carried): void {
    carried.watchdog?.alive();
    if (carried === this.#current) this.#cancel("probe");
  }

  #opened(carried: Carried): void {
    carried.opened = true;
    const { clock } = this.parts;
    if (carried === this.#candidate) {
      // The better link resumes from the cursor of this moment; what the old one brought is known by its keys.
      this.#cancel("candidate");
      this.#candidate = null;
      this.#drop("current");
      this.#current = carried;
      this.#ladder = steps.climbed(this.#ladder, carried.link.transport, clock.now());
    } else {
      this.#ladder = steps.opened(this.#ladder, clock.now());
    }
    this.#cancel("first");
    this.#cancel("probe");
    this.#tooMany = 0;
    this.#refusals = 0;
    this.#watch(carried);
    carried.link.send(this.outbox.waiting());
    this.#to({ status: "open", transport: carried.link.transport, retryAt: null, error: null });
    this.#climbLater();
  }

  /** Starts watching; again when a hello brings another heartbeat. */
  #watch(carried: Carried): void {
    const { clock, times } = this.parts;
    carried.watchdog?.stop();
    const beat = carried.link.beats ? this.#heartbeatMs : Number.POSITIVE_INFINITY;
    carried.watchdog = new Watchdog(clock, beat, beat * times.silenceFactor, {
      ask: () => carried === this.#current && carried.link.probe(),
      mute: () => carried === this.#current && this.#lose(carried, "mute", "nothing heard for too long"),
      slept: () => this.wake(),
    });
  }

  #frame(carried: Carried, frame: Frame): void {
    if (carried !== this.#current) return;
    if (frame.type === "hello") this.#hello(carried, frame.data as Hello);
    if (frame.type === "reply") this.#reply(carried, frame);
    if (CONNECTION_TYPES.has(frame.type)) return;
    if (!frame.id && this.#cameBefore(carried.link, frame)) return;
    if (frame.id) this.#cursor = frame.id;
    this.parts.frame(frame);
    if (frame.type === "drain") this.#drain((frame.data as Drain).reconnect_after_ms);
  }

  #reply(carried: Carried, reply: Frame): void {
    const again = this.outbox.settle(reply);
    if (again === null) return;
    const resend = () => carried === this.#current && this.outbox.waits(again.ref) && carried.link.send([again]);
    this.parts.clock.after(AGAIN_MS * (1 + this.parts.clock.random()), resend);
  }

  #hello(carried: Carried, hello: Hello): void {
    carried.session = hello.session_id;
    // A resumed session goes on from the cursor that it was opened with until a frame brings a later one.
    if (!hello.resumed || this.#cursor === null) this.#cursor = hello.cursor;
    const heartbeatMs = Math.max(1, hello.heartbeat_s) * 1000;
    const other = heartbeatMs !== this.#heartbeatMs;
    this.#heartbeatMs = heartbeatMs;
    if (other && carried.watchdog) this.#watch(carried);
  }

  /** Whether another link brought the same: two are open for a moment when one takes over from the other. */
  #cameBefore(link: Link, frame: Frame): boolean {
    if (!frame.at || frame.type === "hello" || frame.type === "drain") return false;
    const text = `${frame.type} ${frame.at} ${JSON.stringify(frame.data)}`;
    if (this.#passing.add(text)) {
      this.#origins.set(text, link);
      for (const old of this.#origins.keys()) {
        if (this.#origins.size <= PASSING_MAX) break;
        this.#origins.delete(old);
      }
      return false;
    }
    return this.#origins.get(text) !== link;
  }

  /** The server stops: stays until it closes or its time has come, then connects to whoever is there. */
  #drain(ms: number): void {
    this.#drop("candidate");
    this.#cancel("climb");
    this.#asked = true;
    this.#after("drain", Math.max(0, ms), () => this.#connect());
  }

  #tooLate(): void {
    const carried = this.#current;
    if (carried && !carried.opened) this.#lose(carried, "silent", "no first frame in time");
  }

  #lose(carried: Carried, why: steps.Why, detail: string): void {
    carried.link.close();
    this.#ended(carried, { why, code: null, retryAfterMs: null, detail });
  }

  #ended(carried: Carried, end: End): void {
    if (carried === this.#candidate) return this.#candidateFailed();
    this.#drop("current");
    this.#cancel("first");
    this.#cancel("probe");
    this.#cancel("climb");
    // A drain has said when to come back.
    if (this.#timers.has("drain")) return this.#waiting();
    const { clock, times } = this.parts;
    if (end.code !== null && FATAL.has(end.code)) return this.stop(new RealtimeError(end.code, end.detail));
    if (end.code === UNAUTHENTICATED && (this.#refusals += 1) >= REFUSALS_MAX) {
      return this.stop(new RealtimeError(UNAUTHENTICATED, end.detail));
    }
    const [ladder, pause] = steps.failed(this.#ladder, end.why, clock.now(), clock.random(), times);
    this.#ladder = ladder;
    if (end.code === TOO_MANY) {
      this.#tooMany += 1;
      this.#asked = true;
      const long = Math.min(times.tooManyMaxMs, times.tooManyMs * 2 ** Math.min(this.#tooMany - 1, 20));
      return this.#retry(Math.max(long * (0.5 + clock.random() / 2), end.retryAfterMs ?? 0));
    }
    this.#asked = end.retryAfterMs !== null;
    const wait = end.retryAfterMs === null ? pause : end.retryAfterMs + pause;
    this.#retry(this.#offline ? Math.max(wait, times.offlineMs) : wait);
  }

  #retry(ms: number): void {
    this.#after("retry", ms, () => this.#connect());
    this.#waiting(this.parts.clock.now() + ms);
  }

  #waiting(retryAt: number | null = null): void {
    this.#to({ status: this.#offline ? "offline" : "waiting", transport: null, retryAt, error: null });
  }

  /** A sign of life within a few seconds, or the link is as good as dead. */
  #probe(carried: Carried): void {
    if (this.#timers.has("probe") || this.#candidate) return;
    const { times } = this.parts;
    const dead = () => this.#current === carried && this.#lose(carried, "lost", "no sign of life after a probe");
    if (carried.link.probe()) return this.#after("probe", times.probeMs, dead);
    // A link that cannot ask is opened a second time beside itself.
    this.#try([carried.link.transport], times.probeMs, dead);
  }

  #climbLater(): void {
    this.#cancel("climb");
    if (!this.#current?.opened) return;
    const { clock, times } = this.parts;
    const delay = steps.climbDelay(this.#ladder, clock.random(), times);
    if (delay === null) return;
    this.#after("climb", delay, () => {
      if (this.#candidate || this.#timers.has("probe")) return this.#climbLater();
      this.#try(steps.better(this.#ladder), times.firstFrameMs, () => {
        this.#ladder = steps.climbFailed(this.#ladder);
        this.#climbLater();
      });
    });
  }

  /** Opens one of these beside the link in use, the first that comes up in time. */
  #try(transports: Transport[], ms: number, noneOpened: () => void): void {
    this.#untried = transports;
    this.#candidateMs = ms;
    this.#noneOpened = noneOpened;
    this.#candidateFailed();
  }

  #candidateFailed(): void {
    this.#drop("candidate");
    const [next, ...rest] = this.#untried;
    if (next === undefined || this.#stopped) return this.#noneOpened();
    this.#untried = rest;
    this.#candidate = this.#dial(next);
    this.#after("candidate", this.#candidateMs, () => this.#candidateFailed());
  }

  #drop(which: "current" | "candidate"): void {
    const carried = which === "current" ? this.#current : this.#candidate;
    if (which === "current") this.#current = null;
    else {
      this.#candidate = null;
      this.#cancel("candidate");
    }
    carried?.watchdog?.stop();
    carried?.link.close();
  }

  #after(name: TimerName, ms: number, call: () => void): void {
    this.#cancel(name);
    const run = () => {
      this.#timers.delete(name);
      call();
    };
    this.#timers.set(name, this.parts.clock.after(ms, run));
  }

  #cancel(name: TimerName): void {
    this.parts.clock.cancel(this.#timers.get(name));
    this.#timers.delete(name);
  }

  #to(state: State): void {
    this.#state = state;
    this.parts.state(state);
  }
}
