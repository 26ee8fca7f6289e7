// Types of the API: users. Generated from the server's description of itself by scripts/types.mjs: do not edit.

import type { Id, Timestamp } from "./common.js";

/** Person as a post or a notification shows them. */
export interface Author {
  /** Picture, if any. */
  avatar_url?: string | null | undefined;
  /** Name to show; the handle when none was given. */
  display_name: string;
  /** Unique name, without `@`. */
  handle: string;
  /** The person. */
  id: Id;
}

/** `PUT /v1/users/me/password`. Ends every session but the caller's. */
export interface NewPassword {
  /** The password as it is. */
  current_password: string;
  /** 8 to 128 characters. */
  new_password: string;
}

/** `POST /v1/sessions`. */
export interface NewSession {
  /** The handle, with or without `@`. */
  handle: string;
  /** The password. */
  password: string;
}

/** `POST /v1/users`. */
export interface NewUser {
  /** Up to 50 characters. */
  display_name?: string | null | undefined;
  /** 1 to 30 of `a-z A-Z 0-9 _`; unique without regard to case. */
  handle: string;
  /** 8 to 128 characters. */
  password: string;
}

/** `PATCH /v1/users/me`, a JSON merge patch: a field that is absent stays, one that is `null` is cleared. */
export interface PatchUser {
  /** An image the caller uploaded; `null` removes the picture. */
  avatar_media_id?: Id | null | undefined;
  /** Up to 500 characters. */
  bio?: string | null | undefined;
  /** Up to 50 characters; `null` shows the handle. */
  display_name?: string | null | undefined;
}

/** Relationship of the caller to another person. */
export interface Relationship {
  /** The caller blocks the person. */
  blocking: boolean;
  /** The person follows the caller. */
  followed_by: boolean;
  /** The caller follows the person. */
  following: boolean;
  /** The caller mutes the person. */
  muting: boolean;
}

/** Answer of registration and of login. */
export interface Session {
  /** Bearer token; shown this once. */
  token: string;
  /** Person who is logged in. */
  user: User;
}

/** A profile. */
export interface User {
  /** Picture, if any. */
  avatar_url?: string | null | undefined;
  /** A few words about the person. */
  bio: string;
  /** Moment the account was made. */
  created_at: Timestamp;
  /** Name to show; the handle when none was given. */
  display_name: string;
  /** People who follow this one. */
  followers_count: number;
  /** People whom this one follows. */
  following_count: number;
  /** Unique name, without `@`. */
  handle: string;
  /** The person. */
  id: Id;
  /** Posts, replies and reposts that are not deleted. */
  posts_count: number;
  /** Relationship of the caller to this person; absent without a token and for oneself. */
  relationship?: Relationship | null | undefined;
}
