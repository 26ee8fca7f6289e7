// Listeners by event. A listener that throws disturbs neither the others nor the connection.

import type { EventInfo } from "./frames.js";

/** A listener of one type of event, or of all. */
export type Listener = (data: unknown, info: EventInfo) => void;

export class Listeners {
  readonly #byType = new Map<string, Set<Listener>>();

  constructor(private readonly failed: (error: unknown) => void = rethrow) {}

  /** Listens until the function that it answers is called; `*` is every type. */
  add(type: string, listener: Listener): () => void {
    const set = this.#byType.get(type) ?? new Set();
    this.#byType.set(type, set);
    // A wrapper, so that the same function can be added twice and taken away once.
    const own: Listener = (data, info) => listener(data, info);
    set.add(own);
    return () => {
      set.delete(own);
      if (set.size === 0 && this.#byType.get(type) === set) this.#byType.delete(type);
    };
  }

  call(info: EventInfo, data: unknown): void {
    for (const type of [info.type, "*"]) {
      for (const listener of [...(this.#byType.get(type) ?? [])]) this.guard(() => listener(data, info));
    }
  }

  guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.failed(error);
    }
  }
}

/** Throws as if the platform had called the listener. */
function rethrow(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
