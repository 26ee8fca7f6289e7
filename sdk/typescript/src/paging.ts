// Lists that are read by cursor: await one page, or loop over all items.

import type { CallOptions } from "./http.js";
import type { Page } from "./types.js";

/** Page of a list, and its length. A signal ends going through the list, whichever page it is at. */
export interface Paging extends CallOptions {
  /** Items of a page, 1 to 100; 20 when absent. */
  limit?: number | undefined;
  /** `next_cursor` of the page before. */
  cursor?: string | null | undefined;
}

/**
 * A list that has not been asked for yet. `await list` asks for one page; `for await (const item of list)` goes through
 * all items, page by page, and asks for no page before it is needed.
 */
export class Pages<T, P extends Page<T> = Page<T>> implements PromiseLike<P>, AsyncIterable<T> {
  readonly #ask: (cursor: string | null | undefined) => Promise<P>;
  readonly #first: string | null | undefined;

  constructor(ask: (cursor: string | null | undefined) => Promise<P>, first?: string | null) {
    this.#ask = ask;
    this.#first = first;
  }

  then<A = P, B = never>(
    fulfilled?: ((page: P) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#ask(this.#first).then(fulfilled, rejected);
  }

  /** The pages, one after the other. */
  async *pages(): AsyncGenerator<P, void, void> {
    let cursor = this.#first;
    do {
      const page = await this.#ask(cursor);
      yield page;
      cursor = page.next_cursor;
    } while (cursor);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    for await (const page of this.pages()) yield* page.items;
  }

  /** The first `max` items, however many pages that takes. */
  async take(max: number): Promise<T[]> {
    const items: T[] = [];
    if (max <= 0) return items;
    for await (const item of this) {
      items.push(item);
      if (items.length >= max) break;
    }
    return items;
  }
}
