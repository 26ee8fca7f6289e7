// Frames between server and client, as types; and the one place where a frame's text is read.

import type {
  ConversationUpdated,
  KeyedMessage,
  MessageChanged,
  MessageRecalled,
  ReceiptChanged,
  Typing,
} from "../chat/types.js";
import type {
  AuthorDeleted,
  Drain,
  FeedPosts,
  Gap,
  Hello,
  Id,
  KeyedNotification,
  LiveChanged,
  PostDeleted,
  Presence,
  Problem,
  ReadMarker,
  Reset,
  Stream,
  Transport,
} from "../types.js";

/** A frame of the server. */
export interface Frame {
  /** The cursor after this frame; only of durable streams. */
  id?: string | null | undefined;
  type: string;
  lane?: string | null | undefined;
  at?: string | null | undefined;
  data?: unknown;
  /** Of a reply. */
  ref?: number | null | undefined;
  ok?: boolean | null | undefined;
  error?: Problem | null | undefined;
}

/** Events by type, as the application hears them. */
export interface Events {
  /** New posts of the home feed, newest first; each post once. */
  "feed.posts": FeedPosts;
  /** A followed person deleted a post. */
  "post.deleted": PostDeleted;
  /** The account of a person who was followed is gone: drop everything of them; `isDropped` says what that is. */
  "author.deleted": AuthorDeleted;
  /** Notification of what somebody did; each comes once. */
  notification: KeyedNotification;
  /** A message of a conversation; `Chat` puts them in order and keeps them whole. */
  message: KeyedMessage;
  /** A message that was there is another now. */
  "message.updated": MessageChanged;
  /** A message was taken back. */
  "message.recalled": MessageRecalled;
  /** Settings, members or what the person keeps to themselves changed. */
  "conversation.updated": ConversationUpdated;
  /** Members have come further. */
  receipt: ReceiptChanged;
  /** Somebody writes; gone after six seconds. */
  typing: Typing;
  /** Items that were left out; `recovering` says that they are being read over HTTP and will come as their own events. */
  gap: Gap & { recovering: boolean };
  /** Streams whose items may be shown wrong: read them anew. `recovering` as with a gap. */
  reset: Reset & { recovering: boolean };
  /** The feed's read marker moved, here or on another device. */
  "feed.read": ReadMarker;
  /** The notifications' read marker moved. */
  "notifications.read": ReadMarker;
  /** A live session of a followed host or one's own is this now; `removed`: it is in no list any more. */
  "live.changed": LiveChanged;
  /** A watched person came or went. */
  presence: Presence;
  /** The server stops; this client comes back by itself. */
  drain: Drain;
  /** A session began. */
  hello: Hello;
}

/** Facts about an event besides its data. */
export interface EventInfo {
  type: string;
  /** Moment at which the server made it. */
  at: string | null;
  lane: string | null;
  /** Whether it was read over HTTP after a gap or a reset. */
  recovered: boolean;
}

/** Types that end at the connection: applications do not need them. */
export const CONNECTION_TYPES = new Set(["reply", "pong"]);

/** Types that the server is told this client understands, beside those that all do. */
export const KNOWS = "author.deleted";

/** Every transport, the best first. */
export const TRANSPORTS: readonly Transport[] = ["websocket", "sse", "long_poll", "short_poll"];

/** A frame, or `null` for what is none: a newer server, or something in between, may send anything. */
export function parseFrame(text: string): Frame | null {
  try {
    return asFrame(JSON.parse(text));
  } catch {
    return null;
  }
}

/** The value as a frame, or `null`. */
export function asFrame(value: unknown): Frame | null {
  if (typeof value !== "object" || value === null) return null;
  return typeof (value as Frame).type === "string" ? (value as Frame) : null;
}

/** The streams that a frame belongs to; none for current values and events of operators. */
export function streamsOf(frame: Frame): Stream[] {
  switch (frame.type) {
    case "feed.posts":
    case "post.deleted":
    case "author.deleted":
      return ["posts"];
    case "notification":
      return ["notifications"];
    case "gap":
      return [(frame.data as Gap).stream];
    case "reset":
      return (frame.data as Reset).streams;
    default:
      return [];
  }
}

/** Whether `a` is newer than `b`; decimal ids are longer than numbers can hold. */
export function newer(a: Id, b: Id): boolean {
  return a.length === b.length ? a > b : a.length > b.length;
}
