// The place to resume at, kept where the application says: cursor, newest keys, the transport that worked.

import type { Clock, Timer } from "../clock.js";
import type { Id, Stream, Transport } from "../types.js";
import type { StorageLike } from "./options.js";

/** Keys that are kept: what a resume right after a reload repeats. */
const KEYS_KEPT = 200;
/** Milliseconds between two writes at least. */
const WRITE_MS = 1_000;
/** Milliseconds after which the transport that worked is no longer assumed to be the best to start with. */
const TRANSPORT_MS = 3_600_000;

/** Place that is kept. */
export interface Place {
  cursor: string | null;
  keys: string[];
  newest: Partial<Record<Stream, Id>>;
  transport: Transport | null;
}

interface Kept extends Place {
  v: 1;
  at: number;
}

const NOWHERE: Place = { cursor: null, keys: [], newest: {}, transport: null };

/** Reads and writes one place. */
export class PlaceKeeper {
  #timer: Timer = null;
  #next: (() => Place) | null = null;

  constructor(
    private readonly storage: StorageLike | undefined,
    private readonly key: string,
    private readonly clock: Clock,
  ) {}

  /** Place that was kept, or nowhere. */
  load(): Place {
    try {
      const kept = JSON.parse(this.storage?.getItem(this.key) ?? "null") as Kept | null;
      if (kept?.v !== 1) return NOWHERE;
      const recent = this.clock.now() - kept.at < TRANSPORT_MS;
      return { ...NOWHERE, ...kept, transport: recent ? kept.transport : null };
    } catch {
      return NOWHERE;
    }
  }

  /** Keeps the place soon; many in a row are one write. */
  save(place: () => Place): void {
    if (!this.storage) return;
    this.#next = place;
    this.#timer ??= this.clock.after(WRITE_MS, () => this.flush());
  }

  /** Keeps it now. */
  flush(): void {
    this.clock.cancel(this.#timer);
    this.#timer = null;
    const place = this.#next?.();
    this.#next = null;
    if (!place) return;
    const kept: Kept = { ...place, keys: place.keys.slice(-KEYS_KEPT), v: 1, at: this.clock.now() };
    try {
      this.storage?.setItem(this.key, JSON.stringify(kept));
    } catch {
      // A full or forbidden storage costs a resume after the next reload, nothing else.
    }
  }

  /** Forgets it: somebody logged out. */
  forget(): void {
    this.clock.cancel(this.#timer);
    this.#timer = null;
    this.#next = null;
    try {
      this.storage?.removeItem(this.key);
    } catch {
      // As above.
    }
  }
}
