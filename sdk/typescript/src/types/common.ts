// Types of the API: common. Generated from the server's description of itself by scripts/types.mjs: do not edit.

/** A page of a list that is read by cursor; shorter than its limit only when it is the last. */
export interface Page<T> {
  /** The items, in the order the call documents. */
  items: T[];
  /** Cursor of the next page; `null` on the last one. */
  next_cursor?: string | null | undefined;
}

/** Machine-readable reason of a refusal; clients must tolerate codes that they do not know. */
export type Code =
  | "bad_request"
  | "unauthenticated"
  | "invalid_credentials"
  | "forbidden"
  | "account_suspended"
  | "challenge_required"
  | "not_found"
  | "method_not_allowed"
  | "conflict"
  | "gone"
  | "snapshot_expired"
  | "payload_too_large"
  | "unsupported_media_type"
  | "misdirected"
  | "validation_failed"
  | "rate_limited"
  | "internal"
  | "overloaded"
  | "outcome_unknown"
  | (string & {});

/** Field of the request that was refused. */
export interface FieldError {
  /** Path of the field, such as `text` or `media_ids[2]`; for query parameters their name, such as `limit`. */
  field: string;
  /** Fault of the field, and what would be right. */
  message: string;
}

/** Snowflake id as a decimal string; ids order by time of creation */
export type Id = string;

/** An RFC 9457 problem. */
export interface Problem {
  /** Machine-readable reason. */
  code: Code;
  /** Explanation of this occurrence, and what to do. */
  detail: string;
  /** The refused fields, for `validation_failed`. */
  errors?: FieldError[] | undefined;
  /** Seconds until another try, in replies to frames: over HTTP the header `Retry-After` says so. */
  retry_after_s?: number | null | undefined;
  /** HTTP status. */
  status: number;
  /** Title of the code, equal for every occurrence. */
  title: string;
  /** URI reference that names the kind of problem. */
  type: string;
}

/** RFC 3339, UTC, milliseconds */
export type Timestamp = string;
