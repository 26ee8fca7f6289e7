// Types of the API: reports. Generated from the server's description of itself by scripts/types.mjs: do not edit.

import type { Attachment } from "./chat.js";
import type { Id, Timestamp } from "./common.js";
import type { Author } from "./users.js";

/** A report as operators see it, with a copy of what it is about as that was then. */
export interface FiledReport {
  /** Upload of the message; its addresses answer 404 once that is gone. */
  attachment?: Attachment | null | undefined;
  /** Conversation that it is, or stands in. */
  conversation_id?: Id | null | undefined;
  /** Moment of the report. */
  created_at: Timestamp;
  /** The report. */
  id: Id;
  /** Kind of what is reported. */
  kind: ReportKind;
  /** Why it was reported. */
  reason: string;
  /** Person who reports it. Without handle and name when the account is gone. */
  reporter: Author;
  /** End of it, once an operator has seen to it. */
  resolution?: Resolution | null | undefined;
  /** Number of the message. */
  seq?: number | null | undefined;
  /** Id of what is reported. */
  target_id: Id;
  /** Text of the message, bio of the person, or title of the conversation, as it was then. */
  text: string;
  /** Person who is reported, or sent what is, by the handle and name of that time. */
  user?: Author | null | undefined;
}

/** `POST /v1/reports`. */
export interface NewReport {
  /** Conversation of a message; without it the server looks for it in those of the caller that were active lately. */
  conversation_id?: Id | null | undefined;
  /** Id of what is reported. */
  id: Id;
  /** `message`, `user` or `conversation`. */
  kind: ReportKind;
  /** Why, for operators: 1 to 1,000 characters. */
  reason: string;
}

/** A report as whoever made it sees it. */
export interface Report {
  /** Moment of the report. */
  created_at: Timestamp;
  /** The report. */
  id: Id;
  /** Kind of what is reported. */
  kind: ReportKind;
  /** Why. */
  reason: string;
  /** Whether an operator has seen to it. */
  resolved: boolean;
  /** Id of what is reported. */
  target_id: Id;
}

/** Kind of thing that is reported. */
export type ReportKind = "message" | "user" | "conversation" | (string & {});

/** End of a report. */
export interface Resolution {
  /** Moment of it. */
  at: Timestamp;
  /** Operator: `admin.token`, or the id of a person whose role is admin. */
  by: string;
  /** Note: what was done, or why nothing was. */
  note: string;
}

/** `PUT /v1/admin/reports/{id}/resolution`. */
export interface ResolveReport {
  /** Note, what was done or why nothing was: 1 to 500 characters. */
  note: string;
}
