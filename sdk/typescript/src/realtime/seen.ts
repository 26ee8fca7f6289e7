// Keys that were delivered, so that delivery at least once becomes exactly once. Pure, and bounded.

/** Keys that are remembered: far more than what a resume repeats (500 items a stream). */
export const KEYS_MAX = 4096;

/** The newest keys; the oldest is forgotten first. */
export class Seen {
  readonly #keys = new Set<string>();

  constructor(
    private readonly max: number = KEYS_MAX,
    keys: Iterable<string> = [],
  ) {
    for (const key of keys) this.add(key);
  }

  /** Remembers; whether it is new. */
  add(key: string): boolean {
    if (this.#keys.has(key)) return false;
    this.#keys.add(key);
    if (this.#keys.size > this.max) {
      const oldest = this.#keys.values().next();
      if (!oldest.done) this.#keys.delete(oldest.value);
    }
    return true;
  }

  has(key: string): boolean {
    return this.#keys.has(key);
  }

  /** The newest `count` keys, oldest of them first. */
  newest(count: number): string[] {
    return count <= 0 ? [] : [...this.#keys].slice(-count);
  }
}
