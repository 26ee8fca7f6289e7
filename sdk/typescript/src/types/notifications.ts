// Types of the API: notifications. Generated from the server's description of itself by scripts/types.mjs: do not edit.

import type { Id, Timestamp } from "./common.js";
import type { Post } from "./posts.js";
import type { Author } from "./users.js";

/** Reason of a notification of kind `message`. */
export type MessageReason = "request" | "invitation" | "added" | (string & {});

/** Notification; a flood of the same kind on the same post is one with a `count`. */
export interface Notification {
  /** Person who did it; of many, the latest whom the caller may see. */
  actor: Author;
  /**
   * Of kind `message`, the conversation. Requests and invitations are listed as long as they wait for an answer, and
   * count as unread nowhere.
   */
  conversation_id?: Id | null | undefined;
  /** Number of people it stands for, of mentions number of posts; 1 unless grouped. */
  count: number;
  /** Moment of the newest event. */
  created_at: Timestamp;
  /** The notification; the id of its newest event. */
  id: Id;
  /** Kind of event that a notification tells of. */
  kind: NotificationKind;
  /** The caller's post for likes, the new post for replies, mentions and reposts. */
  post?: Post | null | undefined;
  /** Whether it is at or below the read marker. */
  read: boolean;
  /** Of kind `message`, what the actor did. */
  reason?: MessageReason | null | undefined;
}

/** Kind of event that a notification tells of. */
export type NotificationKind =
  | "follow"
  | "like"
  | "reply"
  | "repost"
  | "mention"
  | "message"
  | "live"
  | (string & {});

/** `GET /v1/notifications`, newest first. */
export interface NotificationPage {
  /** Newest first. */
  items: Notification[];
  /** Cursor of the next page; `null` on the last. */
  next_cursor?: string | null | undefined;
  /** Notifications above the read marker; requests and invitations are not counted. */
  unread_count: number;
}

/** `PUT /v1/notifications/read`. */
export interface NotificationsRead {
  /** Everything up to this id has been seen; a smaller one than before changes nothing. */
  last_read_id: Id;
}

/** Notifications that are still unread. */
export interface NotificationsUnread {
  /** Above the read marker. */
  unread_count: number;
}
