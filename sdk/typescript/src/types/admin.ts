// Types of the API: admin. Generated from the server's description of itself by scripts/types.mjs: do not edit.

import type { Id, Timestamp } from "./common.js";
import type { Lane, Transport } from "./realtime.js";

/** Act of an operator. It stands in the same record as what was done, and is kept for 400 days. */
export interface AuditEntry {
  /**
   * Kind of act: `post.delete`, `link.delete`, `user.suspend`, `user.unsuspend`, `user.password`,
   * `user.grant_admin`, `user.revoke_admin`, `report.resolve`, `settings.change`, `session.close`, `event.publish`,
   * `consumer.remove`; more may come.
   */
  action: string;
  /** Operator: `admin.token`, or the id of a person whose role is admin. */
  actor: string;
  /** Address of the client. */
  address: string;
  /** Moment of the act. */
  at: Timestamp;
  /** Id of the act; rises with time. */
  id: Id;
  /** Why, if it was said. */
  reason?: string | null | undefined;
  /**
   * Target of the act: `posts/ID`, `links/CODE`, `users/ID`, `sessions/ID`, `reports/ID`,
   * `settings KEY=VALUE …`, `events/TYPE to …`.
   */
  target: string;
}

/** Owner of one of chat's partitions. */
export interface ChatOwnerStatus {
  /** Bytes of these. */
  cached_bytes: number;
  /** Conversations that stay decoded with it. */
  conversations_cached: number;
  /** Records of requests and invitations that people are still to be told of. */
  notices_waiting: number;
  /** Number of the partition. */
  partition: number;
  /** Whether it takes anything: not while storage is away, and not any more where its log cannot be read. */
  takes: boolean;
  /** Records that wait to be taken. */
  waiting: number;
}

/** Conversations and messages. */
export interface ChatStatus {
  /** Commits since the start. */
  commits: number;
  /** Messages that were sent since the start. */
  messages: number;
  /** Owners on this node. */
  owners: ChatOwnerStatus[];
  /** Records of all kinds since the start. */
  records: number;
  /** Acts that were refused, by reason. */
  refusals: Record<string, number>;
  /** Sends that were repeats of earlier ones, and were answered as these. */
  repeats: number;
  /** Acts of which nobody could say whether they were done. */
  unknown: number;
}

/** Clicks at this moment, for operators. */
export interface ClickStatus {
  /** Clicks that were counted since the start. */
  counted: number;
  /** Whether shipping is held up, for the log holds `links.clicks_bytes_max` that is not counted yet. */
  is_held: boolean;
  /** Whether a record of clicks cannot be read, so that none behind it is counted. */
  is_stuck: boolean;
  /** Clicks that were lost since the start: the spool had no room, or they waited in it for too long. */
  lost: number;
  /** Clicks that came more than once, and were counted once. */
  repeated: number;
  /** Bytes of the spool's files. */
  spool_bytes: number;
  /** Clicks that were written since the start. */
  written: number;
}

/** An author whose fan-out costs much. */
export interface CostlyAuthor {
  /** Materialised followers × posts a second. */
  deliveries_per_s: number;
  /** The author. */
  user_id: Id;
}

/** The answer of `/healthz` and `/readyz`. */
export interface Health {
  /** `ok`. */
  status: string;
}

/** Consumer of the journal that holds more of it than `storage.journal_bytes_max`. */
export interface JournalHolder {
  /** Bytes of the journal that wait for it. */
  bytes: number;
  /** Name of the consumer. */
  consumer: string;
  /** Number of the journal's partition. */
  partition: number;
}

/** `PUT /v1/admin/users/{user}/role`. */
export interface NewRole {
  /** The role. */
  role: RoleName;
}

/** `PUT /v1/admin/users/{user}/suspension`. */
export interface NewSuspension {
  /** Why, for other operators: 1 to 500 characters. The person is not told. */
  reason: string;
  /** End of the suspension; without one it stands until it is lifted. */
  until?: Timestamp | null | undefined;
}

/** Changes of settings while the server runs; what is absent stays. A restart reads the configuration again. */
export interface PatchSettings {
  /** Authors with more followers are pulled. */
  "feed.pull_above"?: number | null | undefined;
  /** Authors with fewer followers are pushed at once. */
  "feed.push_below"?: number | null | undefined;
  /** `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,fanfare=debug`. */
  "log.level"?: string | null | undefined;
}

/** `POST /v1/admin/realtime/publish`: to some (`user_ids`) or to everybody connected (`all`). */
export interface PublishEvent {
  /** Everybody who is connected. */
  all?: boolean | undefined;
  /** Any JSON up to 64 KiB. */
  data: unknown;
  /** `normal` when it is not named. */
  lane?: Lane | null | undefined;
  /** A type of your own, such as `shop.sale`: a lower-case letter, then up to 63 of `a-z 0-9 _ . -`. */
  type: string;
  /** Up to 10,000 people. */
  user_ids?: Id[] | null | undefined;
}

/** Number of connected sessions that an event was handed to. It is not kept for others. */
export interface Published {
  /** Sessions. */
  sessions: number;
}

/** An item of `GET /v1/admin/realtime/sessions`. */
export interface RealtimeSession {
  /** The client's address. */
  address: string;
  /** Start of the session. */
  connected_at: Timestamp;
  /** Bytes that wait for the client to read. */
  queued_bytes: number;
  /** The session. */
  session_id: Id;
  /** Transport of the session. */
  transport: Transport;
  /** Person of the session. */
  user_id: Id;
}

/** Role: what a person may do. */
export type RoleName = "user" | "admin";

/** Settings that can change while the server runs; by their names in the configuration. */
export interface RunningSettings {
  /** Authors with more followers are pulled. */
  "feed.pull_above": number;
  /** Authors with fewer followers are pushed at once. */
  "feed.push_below": number;
  /** Lowest level written to the log, or a filter. */
  "log.level": string;
}

/** `PUT /v1/admin/users/{user}/password`. */
export interface SetPassword {
  /** 8 to 128 characters. */
  password: string;
}

/** The server at this moment. */
export interface Status {
  /** Conversations and messages. */
  chat: ChatStatus;
  /** Clicks on short links. */
  clicks: ClickStatus;
  /** The dearest authors, dearest first. */
  costly_authors: CostlyAuthor[];
  /** Timeline entries written since the start, by policy: push, push_late, pull. */
  deliveries_by_policy: number[];
  /** Ordinary fan-out jobs that wait. */
  fan_out_queue: number;
  /**
   * Consumers of the journal that are registered, running or not, as of the last half minute: nothing goes that one
   * of them has not done with.
   */
  journal_consumers: string[];
  /**
   * Consumers that hold more of the journal than `storage.journal_bytes_max`, as of the last half minute; none is as
   * it should be. Of several in a partition the slowest is here.
   */
  journal_held_by: JournalHolder[];
  /** Late fan-out jobs that wait. */
  late_fan_out_queue: number;
  /** Posts since the start, by policy: push, push_late, pull. */
  posts_by_policy: number[];
  /** Bytes of the timelines in memory. */
  timeline_bytes: number;
  /** Entries in them. */
  timeline_entries: number;
  /** Materialised timelines. */
  timelines: number;
  /** Seconds since the start. */
  uptime_s: number;
  /** Version of the binary. */
  version: string;
  /**
   * Writes are refused: storage is away, or the disk is as good as full (both come back by themselves), or storage
   * has failed and wants a restart. The log says which.
   */
  writes_refused: boolean;
}

/** A suspension as it stands. */
export interface Suspension {
  /** Why. */
  reason: string;
  /** Start of the suspension, with this reason and end. */
  since: Timestamp;
  /** End of the suspension; `null`: when it is lifted. */
  until?: Timestamp | null | undefined;
  /** Suspended person. */
  user_id: Id;
}
