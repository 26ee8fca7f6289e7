// New part of an event: the one place where repeats are dropped. Used by the tab that leads and by those that follow,
// so that a follower that takes over knows what its application has seen.

import type { AuthorDeleted, FeedPosts, Id, KeyedNotification, PostDeleted, Stream } from "../types.js";
import { newer } from "./frames.js";
import type { Seen } from "./seen.js";

/** Items that were handed out. */
export interface HandedOut {
  readonly seen: Seen;
  /** The newest id, a stream. */
  readonly newest: Partial<Record<Stream, Id>>;
}

/** The data without what was handed out before, and remembers the rest; `null` when nothing is left. */
export function fresh(out: HandedOut, type: string, data: unknown): unknown {
  switch (type) {
    case "feed.posts": {
      const items = (data as FeedPosts).items.filter((post) => out.seen.add(`p${post.key}`));
      for (const post of items) note(out, "posts", post.id);
      return items.length > 0 ? ({ items } satisfies FeedPosts) : null;
    }
    case "notification": {
      const notification = data as KeyedNotification;
      if (!out.seen.add(`n${notification.key}`)) return null;
      note(out, "notifications", notification.id);
      return data;
    }
    case "message":
    case "message.updated":
    case "message.recalled":
      return out.seen.add(`m${(data as { key: string }).key}`) ? data : null;
    case "post.deleted":
    case "author.deleted":
      return out.seen.add(`d${(data as PostDeleted | AuthorDeleted).key}`) ? data : null;
    default:
      return data;
  }
}

function note(out: HandedOut, stream: Stream, id: Id): void {
  const before = out.newest[stream];
  if (before === undefined || newer(id, before)) out.newest[stream] = id;
}
