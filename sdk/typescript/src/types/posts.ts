// Types of the API: posts. Generated from the server's description of itself by scripts/types.mjs: do not edit.

import type { Id, Timestamp } from "./common.js";
import type { Media } from "./media.js";
import type { Author } from "./users.js";

/** `PUT /v1/feed/read`. */
export interface FeedRead {
  /** Everything up to this id has been seen; a smaller one than before changes nothing. */
  last_read_id: Id;
}

/**
 * A place in a thread whose post does not show, while the thread goes on beyond it. One of `deleted` and `hidden` is
 * there, and true.
 */
export interface Gone {
  /** Deleted by the author, or with the author's account. */
  deleted?: boolean | undefined;
  /** The caller may not see it. */
  hidden?: boolean | undefined;
  /** The post. */
  id: Id;
}

/** A person named in a text by `@handle`. */
export interface Mention {
  /** The handle as it was when the post was made. */
  handle: string;
  /** The person. */
  id: Id;
}

/** `POST /v1/posts`. */
export interface NewPost {
  /** Up to 4 uploads of the caller. */
  media_ids?: Id[] | undefined;
  /** The post to answer. */
  reply_to?: Id | null | undefined;
  /** The post to pass on; with text it is a quote. */
  repost_of?: Id | null | undefined;
  /** Up to `posts.text_max` characters (500); may be empty with media or `repost_of`. */
  text?: string | undefined;
}

/** A post, a reply or a repost. */
export interface Post {
  /** Author of the post. */
  author: Author;
  /** Moment of publication. */
  created_at: Timestamp;
  /** The post. */
  id: Id;
  /** People who like it. */
  like_count: number;
  /** The caller likes it. Not in realtime frames. */
  liked?: boolean | undefined;
  /** `http` and `https` addresses found in the text. */
  links: string[];
  /** Attached uploads. */
  media: Media[];
  /** People named in the text who exist. */
  mentions: Mention[];
  /** Replies that are not deleted. */
  reply_count: number;
  /** The post this one answers. */
  reply_to?: Id | null | undefined;
  /** Reposts that are not deleted. */
  repost_count: number;
  /** Only where true: this is a quote whose original was deleted, so that `repost_of` is `null`. */
  repost_gone?: boolean | undefined;
  /** Only where true: this is a quote whose original the caller may not see, so that `repost_of` is `null`. */
  repost_hidden?: boolean | undefined;
  /** The post this one passes on; what that one passes on in turn is not shown. */
  repost_of?: Post | null | undefined;
  /** The caller has a bare repost of it. Not in realtime frames. */
  reposted?: boolean | undefined;
  /** May be empty with media or `repost_of`. */
  text: string;
}

/** A place in a thread: the post, or a word that it is gone. A `Gone` has no `author`. */
export type PostOrGone = Post | Gone;

/** `GET /v1/posts/{id}/thread`. */
export interface PostThread {
  /** Posts that this one answers, oldest first; the thread goes on above a post that is gone. */
  ancestors: PostOrGone[];
  /** Cursor for `/replies` when there are more. */
  next_cursor?: string | null | undefined;
  /** The post asked for; the original, for a bare repost. */
  post: Post;
  /** First replies, oldest first; more under `/replies`. */
  replies: PostOrGone[];
}

/** `GET /v1/feed/unread`. */
export interface UnreadCount {
  /** Number of others' entries newer than the read marker; counting stops at 1,000. */
  count: number;
  /** The newest entry of the feed, if there is one. */
  newest_id?: Id | null | undefined;
}
