// Types of the API: realtime. Generated from the server's description of itself by scripts/types.mjs: do not edit.

import type { Id, Problem, Timestamp } from "./common.js";
import type { Notification } from "./notifications.js";
import type { Post } from "./posts.js";

/** `author.deleted`: the account of somebody whom the person followed is gone; everything of them is to be dropped. */
export interface AuthorDeleted {
  /** The deletion's own. */
  key: string;
  /** Person whose account it was. */
  user_id: Id;
}

/** A frame of a client; answered by a `Reply` with the same `ref`. */
export interface ClientFrame {
  /** Content, shaped by the type. */
  data?: unknown;
  /** Chosen by the client, up to 2^53 - 1. */
  ref: number;
  /** `ping`, `feed.read`, `presence.watch`, `message.send`, `read`, `delivered`, `typing`. */
  type: string;
}

/** `drain`: the server stops; come back later. */
export interface Drain {
  /** Milliseconds to wait before connecting again; different for every session. */
  reconnect_after_ms: number;
}

/** `feed.posts`: new posts of the home feed. */
export interface FeedPosts {
  /** Newest first. */
  items: KeyedPost[];
}

/** `gap`: items of a stream that were not sent; page them over HTTP. */
export interface Gap {
  /** Everything up to this id was sent. */
  after: Id;
  /** Id at which what comes next starts. */
  before: Id;
  /** Number of items between; counting stops at 1,000. */
  count: number;
  /** The stream. */
  stream: Stream;
}

/** The first frame of every session. */
export interface Hello {
  /** Cursor to resume from when the connection is lost before the first frame with an `id`. */
  cursor: string;
  /** Seconds between two signs of life of the server. */
  heartbeat_s: number;
  /** Whether what was missed since the cursor follows; `false` without a cursor, or with one that cannot be used. */
  resumed: boolean;
  /** Names the session for operators and for `POST /v1/realtime/send`. */
  session_id: Id;
  /** Transport of the session. */
  transport: Transport;
}

/** `notification`: as in `GET /v1/notifications`. */
export type KeyedNotification = Notification & {
  /** The notification's id. */
  key: string;
};

/** A post in a frame: without what differs from viewer to viewer (`liked`, `reposted` read as `false`). */
export type KeyedPost = Post & {
  /** Key, equal in push, replay and HTTP: the post's id. */
  key: string;
};

/** Lane: priority of a frame when not everything can go at once. */
export type Lane = "urgent" | "normal" | "bulk";

/** Several frames. */
export interface NamedFrames {
  /** Up to 50. */
  frames: ClientFrame[];
}

/** Replies to several frames. */
export interface NamedReplies {
  /** In the order of the frames. */
  replies: Reply[];
}

/** `GET /v1/realtime/poll`. */
export interface PollAnswer {
  /** Cursor for the next poll, or another transport. */
  cursor: string;
  /** Frames, in the order in which a socket would bring them. */
  events: ServerFrame[];
}

/** `pong`: the answer to a `ping`, beside its reply. */
export interface Pong {
  /** The ping's. */
  ref: number;
}

/** `post.deleted`: a post of somebody whom the person follows is gone. */
export interface PostDeleted {
  /** Author of the post. */
  author_id: Id;
  /** The post. */
  id: Id;
  /** The deletion's own. */
  key: string;
}

/** `presence`, and an item of `GET /v1/presence`. */
export interface Presence {
  /** Last sign of life; `null` when this server never had one, or the caller may not know. */
  last_seen_at?: Timestamp | null | undefined;
  /** Connected, or heard of within the offline time. */
  online: boolean;
  /** Person whose presence it is. */
  user_id: Id;
}

/** Several people's presence. */
export interface PresenceList {
  /** In the order asked for. */
  items: Presence[];
}

/** Data of `presence.watch`. */
export interface PresenceWatch {
  /** Up to 200 people; they take the place of those watched before. */
  user_ids: Id[];
}

/** `feed.read` and `notifications.read`: a read marker moved on one of the person's devices. */
export interface ReadMarker {
  /** Everything up to this id has been seen. */
  last_read_id: Id;
}

/** Replies to client frames, in the form in which the frames came. */
export type Replies = Reply[] | NamedReplies | Reply;

/** `reply`: what became of a client's frame. */
export interface Reply {
  /** Answer of a request that was done. */
  data?: unknown;
  /** Why not, when it was not. */
  error?: Problem | null | undefined;
  /** Whether it was done. */
  ok: boolean;
  /** The frame's; `null` when what came was no frame. */
  ref?: number | null | undefined;
}

/** `reset`: forget what was seen of these streams and read them over HTTP. */
export interface Reset {
  /** Why. */
  reason: ResetReason;
  /** Streams that start afresh. */
  streams: Stream[];
}

/** Why streams must be read anew. */
export type ResetReason =
  | "foreign"
  | "malformed"
  | "expired"
  | "slow"
  | "overflow"
  | "author_deleted"
  | (string & {});

/** Frames of a client that has no socket to send them by. */
export type Sent = ClientFrame[] | NamedFrames | ClientFrame;

/** A frame of the server as it stands on the wire; `ServerFrame::event` reads what it says. */
export interface ServerFrame {
  /** Moment the item was made. */
  at?: Timestamp | null | undefined;
  /** Content, shaped by the type. */
  data?: unknown;
  /** Of a `reply`: why not. */
  error?: Problem | null | undefined;
  /** The cursor after this frame; only frames of durable streams have one. */
  id?: string | null | undefined;
  /** The lane that it came by. */
  lane?: Lane | null | undefined;
  /** Of a `reply`: whether it was done. */
  ok?: boolean | null | undefined;
  /** Of a `reply`: the client's `ref`. */
  ref?: number | null | undefined;
  /** `hello`, `feed.posts` …; clients must tolerate types that they do not know. */
  type: string;
}

/** Stream: items in one order, in which a session resumes. */
export type Stream = "notifications" | "direct" | "group" | "posts";

/** `POST /v1/realtime/tickets`: lets a connection in where headers cannot be set. */
export interface Ticket {
  /** Sixty seconds from now. */
  expires_at: Timestamp;
  /** Ticket for `?ticket=`; good once. */
  ticket: string;
}

/** Transport of a session. */
export type Transport = "websocket" | "sse" | "long_poll" | "short_poll";
