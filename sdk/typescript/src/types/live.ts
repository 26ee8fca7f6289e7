// Types of the API: live. Generated from the server's description of itself by scripts/types.mjs: do not edit.

import type { Id, Timestamp } from "./common.js";
import type { Author } from "./users.js";

/** `POST /v1/live/{id}/end`. */
export interface EndLiveSession {
  /** Address of the recording, if there is one already. */
  replay_url?: string | null | undefined;
}

/** Body of `live.changed`: the session as it is now, whoever reads it. */
export type LiveChanged = LiveSession & {
  /** Whether it was cancelled, or its replay removed: it is in no list any more. */
  removed?: boolean | undefined;
  /** Number of the change: of two about one session the higher is the newer one. */
  version: Id;
};

/** A live session. On a page it is as it was when the first page of the pass was made. */
export interface LiveSession {
  /** Moment it was over. */
  ended_at?: Timestamp | null | undefined;
  /** Person who holds it. */
  host: Author;
  /** The session. */
  id: Id;
  /** Whether the caller is to be reminded at the start; absent without a token, and in frames. */
  reminder?: boolean | null | undefined;
  /** Address of the recording. */
  replay_url?: string | null | undefined;
  /** Moment it began. */
  started_at?: Timestamp | null | undefined;
  /** Planned start. */
  starts_at: Timestamp;
  /** Whether it is to come, on, or over. */
  state: LiveState;
  /** Words that say what it is about. */
  title: string;
}

/** State of a live session. */
export type LiveState = "upcoming" | "live" | "replay" | (string & {});

/** `POST /v1/live`. */
export interface NewLiveSession {
  /** Planned start: at most a minute ago, within a year. */
  starts_at: Timestamp;
  /** 1 to 140 characters. */
  title: string;
}

/** `PATCH /v1/live/{id}`, a JSON merge patch: a field that is absent stays. */
export interface PatchLiveSession {
  /** Address of the recording, once it is over; `null` takes it away. */
  replay_url?: string | null | undefined;
  /** New planned start, while it is upcoming; at most 20 times. */
  starts_at?: Timestamp | null | undefined;
  /** 1 to 140 characters. */
  title?: string | null | undefined;
}
