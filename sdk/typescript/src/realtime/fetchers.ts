// Reads over HTTP what was not pushed: everything of a stream between two ids, newest first as the lists are.

import type { Client } from "../client.js";
import type { Id, KeyedNotification, KeyedPost, Stream } from "../types.js";
import { newer } from "./frames.js";

/** Items of one recovery at most: more is a reload, not a recovery. */
export const RECOVERED_MAX = 1_000;
/** Items of a page. */
const PAGE = 100;

/** Content of a range of a stream. */
export interface Range {
  posts: KeyedPost[];
  notifications: KeyedNotification[];
  /** Everything was read; `false` when there was more than [RECOVERED_MAX]. */
  complete: boolean;
}

/** Reads a range: ids above `after`, and below `before` if that is given. */
export type Fetcher = (stream: Stream, after: Id, before: Id | null) => Promise<Range>;

/** Reads ranges with a client. Streams of conversations are read by `Chat`, by change and number. */
export function fetcher(client: Client): Fetcher {
  return async (stream, after, before) => {
    if (stream === "posts") {
      const found = await between(client.feed.read({ since_id: after, limit: PAGE }), after, before);
      return { posts: found.items.map(keyed), notifications: [], complete: found.complete };
    }
    if (stream === "notifications") {
      const found = await between(client.notifications.list({ limit: PAGE }), after, before);
      return { posts: [], notifications: found.items.map(keyed), complete: found.complete };
    }
    return { posts: [], notifications: [], complete: true };
  };
}

/** Items of a list, newest first, whose ids lie between. */
async function between<T extends { id: Id }>(
  list: AsyncIterable<T>,
  after: Id,
  before: Id | null,
): Promise<{ items: T[]; complete: boolean }> {
  const items: T[] = [];
  for await (const item of list) {
    if (!newer(item.id, after)) break;
    if (before !== null && !newer(before, item.id)) continue;
    if (items.length >= RECOVERED_MAX) return { items, complete: false };
    items.push(item);
  }
  return { items, complete: true };
}

function keyed<T extends { id: Id }>(item: T): T & { key: string } {
  return { ...item, key: item.id };
}
