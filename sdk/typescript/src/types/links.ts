// Types of the API: links. Generated from the server's description of itself by scripts/types.mjs: do not edit.

import type { Id, Timestamp } from "./common.js";

/** A link as operators see it. */
export type AdminLink = Link & {
  /** Whether the list of blocked hosts and codes names it. */
  blocked: boolean;
  /** Person who made it. */
  owner: Id;
};

/** A short link. */
export interface Link {
  /** Code: what stands at the end of `short_url`. */
  code: string;
  /** Moment at which it was made. */
  created_at: Timestamp;
  /** End of the link; `null`: never. */
  expires_at?: Timestamp | null | undefined;
  /** Whether it asks for a password. */
  has_password?: boolean | undefined;
  /** Visits after which it is used up; `null`: none. */
  max_visits?: number | null | undefined;
  /** Status of the redirect. */
  redirect: RedirectKind;
  /** Address to hand out. */
  short_url: string;
  /** Target, as the server writes it: names in punycode, everything in ASCII. */
  url: string;
  /** Visits that were answered with the redirect, bots included. */
  visits: number;
}

/** Password that a visitor sends. */
export interface LinkPassword {
  /** The password. */
  password: string;
}

/** `POST /v1/links`. */
export interface NewLink {
  /** Code of one's own, 1 to 64 of `A-Z a-z 0-9 _ -`; without it the server gives a short one. */
  alias?: string | null | undefined;
  /** End of the link; `null`: never; without it five years from now, or what the server says. */
  expires_at?: Timestamp | null | undefined;
  /** Visits after which it is used up, 1 to 100,000. */
  max_visits?: number | null | undefined;
  /** Password that visitors are asked for, 1 to 128 characters. */
  password?: string | null | undefined;
  /** 302 when it is not named. 301 goes with no password, no visit limit and no `expires_at` of one's own. */
  redirect?: RedirectKind | null | undefined;
  /** Target: `http` or `https`, at most 2,048 bytes. */
  url: string;
}

/**
 * `PATCH /v1/links/{code}`, a JSON merge patch: a field that is absent stays, one that is `null` is cleared. Code and
 * numbers stay.
 */
export interface PatchLink {
  /** New end; `null`: never. */
  expires_at?: Timestamp | null | undefined;
  /** New limit, which counts the visits so far; `null`: none. */
  max_visits?: number | null | undefined;
  /** New password; `null`: none. */
  password?: string | null | undefined;
  /** New status. */
  redirect?: RedirectKind | null | undefined;
  /** New target. */
  url?: string | null | undefined;
}

/** 302 asks at each visit; 301 lets browsers remember it for an hour */
export type RedirectKind = 302 | 301;
