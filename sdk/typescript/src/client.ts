// The API as typed calls, grouped as its documentation groups them. Each throws ProblemError or NetworkError.

import { list, type Once, part, type Reasoned } from "./calls.js";
import { Conversations } from "./chat/calls.js";
import { type CallOptions, Http, type HttpOptions, type TokenSource } from "./http.js";
import { Links } from "./links.js";
import { LiveCalls } from "./live.js";
import type { Pages, Paging } from "./paging.js";
import { randomKey } from "./random.js";
import { Realtime } from "./realtime/realtime.js";
import type { RealtimeOptions } from "./realtime/options.js";
import type {
  AdminLink,
  AuditEntry,
  ClientFrame,
  FiledReport,
  Id,
  Lane,
  Media,
  NewPost,
  NewReport,
  NewSuspension,
  NewUser,
  Notification,
  NotificationPage,
  NotificationsUnread,
  PatchSettings,
  PatchUser,
  PollAnswer,
  Post,
  PostOrGone,
  PostThread,
  Presence,
  PresenceList,
  Published,
  RealtimeSession,
  Relationship,
  Reply,
  Report,
  ReportState,
  RunningSettings,
  Session,
  Status,
  Suspension,
  Ticket,
  UnreadCount,
  User,
} from "./types.js";

/** Milliseconds for an upload. */
const UPLOAD_MS = 600_000;
/** People named in one request about presence. */
const PRESENCE_IDS_MAX = 200;

/** Options of uploads besides the file. */
export interface UploadOptions extends Once {
  /** Instead of the file's own. */
  filename?: string | undefined;
  /** Says in words what a picture shows. */
  alt?: string | undefined;
  /**
   * `message` for an upload that stands in messages alone: name it in `media_id` of one within 24 hours. Its addresses
   * are for who sees the message, and good until `expires_at`.
   */
  purpose?: "message" | undefined;
}

/** A server and a person, or nobody. */
export class Client {
  /** Requests that no call here makes. */
  readonly http: Http;
  readonly accounts: Accounts;
  readonly users: Users;
  readonly posts: Posts;
  readonly feed: Feed;
  readonly live: LiveCalls;
  readonly notifications: Notifications;
  readonly conversations: Conversations;
  readonly links: Links;
  readonly reports: Reports;
  readonly media: MediaCalls;
  readonly presence: PresenceCalls;
  readonly realtime: RealtimeCalls;
  readonly admin: Admin;

  constructor(options: HttpOptions = {}) {
    this.http = new Http(options);
    this.accounts = new Accounts(this.http);
    this.users = new Users(this.http);
    this.posts = new Posts(this.http);
    this.feed = new Feed(this.http);
    this.live = new LiveCalls(this.http);
    this.notifications = new Notifications(this.http);
    this.conversations = new Conversations(this.http);
    this.links = new Links(this.http);
    this.reports = new Reports(this.http);
    this.media = new MediaCalls(this.http);
    this.presence = new PresenceCalls(this.http);
    this.realtime = new RealtimeCalls(this.http);
    this.admin = new Admin(this.http);
  }

  /** Takes another token from now on; `null` goes on as nobody. */
  setToken(token: TokenSource): void {
    this.http.setToken(token);
  }

  /** Events as they happen: call `start()` on what this answers. */
  connect(options: RealtimeOptions = {}): Realtime {
    return new Realtime(this, options);
  }
}

/** Accounts and sessions. */
export class Accounts {
  constructor(private readonly http: Http) {}

  /** Makes an account and takes its token for the requests to come. */
  async register(user: NewUser, call?: CallOptions): Promise<Session> {
    return this.#logged("/v1/users", user, call);
  }

  /** Logs in and takes the token for the requests to come. A wrong password is a ProblemError `invalid_credentials`. */
  async logIn(handle: string, password: string, call?: CallOptions): Promise<Session> {
    return this.#logged("/v1/sessions", { handle, password }, call);
  }

  /** Ends this session. */
  async logOut(call?: CallOptions): Promise<void> {
    await this.http.json<void>("DELETE", "/v1/sessions/current", call);
    this.http.setToken(null);
  }

  /** Ends every session of the person. */
  async logOutEverywhere(call?: CallOptions): Promise<void> {
    await this.http.json<void>("DELETE", "/v1/sessions", call);
    this.http.setToken(null);
  }

  /** Ends the person's other sessions too. */
  changePassword(current: string, password: string, call?: CallOptions): Promise<void> {
    const body = { current_password: current, new_password: password };
    return this.http.json("PUT", "/v1/users/me/password", { ...call, body });
  }

  /** Deletes the account and the person's data, for good. */
  async delete(call?: CallOptions): Promise<void> {
    await this.http.json<void>("DELETE", "/v1/users/me", call);
    this.http.setToken(null);
  }

  async #logged(path: string, body: unknown, call?: CallOptions): Promise<Session> {
    // Whoever is still logged in has nothing to do with it.
    const session = await this.http.json<Session>("POST", path, { ...call, body, anonymous: true });
    this.http.setToken(session.token, session.user.id);
    return session;
  }
}

/** People; `user` is an id or `@handle`. */
export class Users {
  constructor(private readonly http: Http) {}

  me(call?: CallOptions): Promise<User> {
    return this.http.json("GET", "/v1/users/me", call);
  }

  updateMe(patch: PatchUser, call?: CallOptions): Promise<User> {
    return this.http.json("PATCH", "/v1/users/me", { ...call, body: patch });
  }

  get(user: string, call?: CallOptions): Promise<User> {
    return this.http.json("GET", `/v1/users/${part(user)}`, call);
  }

  search(q: string, paging?: Paging): Pages<User> {
    return list(this.http, "/v1/search/users", paging, { q });
  }

  follow(user: string, call?: CallOptions): Promise<Relationship> {
    return this.#edge("PUT", user, "follow", call);
  }

  unfollow(user: string, call?: CallOptions): Promise<Relationship> {
    return this.#edge("DELETE", user, "follow", call);
  }

  block(user: string, call?: CallOptions): Promise<Relationship> {
    return this.#edge("PUT", user, "block", call);
  }

  unblock(user: string, call?: CallOptions): Promise<Relationship> {
    return this.#edge("DELETE", user, "block", call);
  }

  mute(user: string, call?: CallOptions): Promise<Relationship> {
    return this.#edge("PUT", user, "mute", call);
  }

  unmute(user: string, call?: CallOptions): Promise<Relationship> {
    return this.#edge("DELETE", user, "mute", call);
  }

  followers(user: string, paging?: Paging): Pages<User> {
    return list(this.http, `/v1/users/${part(user)}/followers`, paging);
  }

  following(user: string, paging?: Paging): Pages<User> {
    return list(this.http, `/v1/users/${part(user)}/following`, paging);
  }

  posts(user: string, paging?: Paging): Pages<Post> {
    return list(this.http, `/v1/users/${part(user)}/posts`, paging);
  }

  blocks(paging?: Paging): Pages<User> {
    return list(this.http, "/v1/users/me/blocks", paging);
  }

  mutes(paging?: Paging): Pages<User> {
    return list(this.http, "/v1/users/me/mutes", paging);
  }

  #edge(method: string, user: string, edge: string, call?: CallOptions): Promise<Relationship> {
    return this.http.json(method, `/v1/users/${part(user)}/${edge}`, call);
  }
}

/** Posts, replies, reposts, likes. */
export class Posts {
  constructor(private readonly http: Http) {}

  /** Published once, however often the network makes the client try. */
  create(post: NewPost, once: Once = {}): Promise<Post> {
    const idempotencyKey = once.idempotencyKey ?? randomKey();
    return this.http.json("POST", "/v1/posts", { ...once, body: post, idempotencyKey });
  }

  get(id: Id, call?: CallOptions): Promise<Post> {
    return this.http.json("GET", `/v1/posts/${part(id)}`, call);
  }

  delete(id: Id, call?: CallOptions): Promise<void> {
    return this.http.json("DELETE", `/v1/posts/${part(id)}`, call);
  }

  like(id: Id, call?: CallOptions): Promise<Post> {
    return this.http.json("PUT", `/v1/posts/${part(id)}/like`, call);
  }

  /** Also a post that one may not see any more, of which only the id is answered: only posts have an `author`. */
  unlike(id: Id, call?: CallOptions): Promise<PostOrGone> {
    return this.http.json("DELETE", `/v1/posts/${part(id)}/like`, call);
  }

  likes(id: Id, paging?: Paging): Pages<User> {
    return list(this.http, `/v1/posts/${part(id)}/likes`, paging);
  }

  /** Oldest first. Those that are gone keep their place while they are answered: only posts have an `author`. */
  replies(id: Id, paging?: Paging): Pages<PostOrGone> {
    return list(this.http, `/v1/posts/${part(id)}/replies`, paging);
  }

  /** Posts that the post answers, itself, and its first replies; of a bare repost, those of its original. */
  thread(id: Id, call?: CallOptions): Promise<PostThread> {
    return this.http.json("GET", `/v1/posts/${part(id)}/thread`, call);
  }

  /** The latest of everybody. */
  public(paging?: Paging): Pages<Post> {
    return list(this.http, "/v1/posts", paging, { scope: "public" });
  }
}

/** The home feed. */
export class Feed {
  constructor(private readonly http: Http) {}

  read(query: Paging & { order?: "latest" | "ranked" | undefined; since_id?: Id | undefined } = {}): Pages<Post> {
    const { order, since_id } = query;
    return list(this.http, "/v1/feed", query, { order, since_id });
  }

  unread(call?: CallOptions): Promise<UnreadCount> {
    return this.http.json("GET", "/v1/feed/unread", call);
  }

  markRead(last_read_id: Id, call?: CallOptions): Promise<UnreadCount> {
    return this.http.json("PUT", "/v1/feed/read", { ...call, body: { last_read_id } });
  }
}

/** Notifications: what others did. */
export class Notifications {
  constructor(private readonly http: Http) {}

  list(paging?: Paging): Pages<Notification, NotificationPage> {
    return list<Notification, NotificationPage>(this.http, "/v1/notifications", paging);
  }

  markRead(last_read_id: Id, call?: CallOptions): Promise<NotificationsUnread> {
    return this.http.json("PUT", "/v1/notifications/read", { ...call, body: { last_read_id } });
  }
}

/** What a person tells the operators of others. */
export class Reports {
  constructor(private readonly http: Http) {}

  /** Reports a message, a person or a conversation that the person can see; the same again is the same report. */
  create(report: NewReport, call?: CallOptions): Promise<Report> {
    return this.http.json("POST", "/v1/reports", { ...call, body: report, repeatable: true });
  }

  /** One of the person's own: whether an operator has seen to it. */
  get(id: Id, call?: CallOptions): Promise<Report> {
    return this.http.json("GET", `/v1/reports/${part(id)}`, call);
  }
}

/** Uploads. */
export class MediaCalls {
  constructor(private readonly http: Http) {}

  /** Uploads that break off are not tried again unless you name a key. */
  upload(file: Blob, options: UploadOptions = {}): Promise<Media> {
    const { filename, alt, purpose, idempotencyKey, signal, timeoutMs = UPLOAD_MS } = options;
    const body = new FormData();
    if (alt !== undefined) body.append("alt", alt);
    if (purpose !== undefined) body.append("purpose", purpose);
    body.append("file", file, filename ?? (file as File).name ?? "file");
    return this.http.json("POST", "/v1/media", { body, idempotencyKey, signal, timeoutMs });
  }

  /**
   * Address of a picture or file, for `<img src>` and links: an upload's, or an address such as `avatar_url` or
   * `thumbnail_url`. Servers without `http.public_url` answer addresses that begin at themselves, not at your page.
   */
  url(media: Media | string): string;
  url(media: Media | string | null | undefined): string | null;
  url(media: Media | string | null | undefined): string | null {
    const address = typeof media === "object" ? media?.url : media;
    if (address === undefined || address === null) return null;
    if (/^([a-z][a-z0-9+.-]*:|\/\/)/i.test(address)) return address;
    return `${this.http.baseUrl}${address.startsWith("/") ? "" : "/"}${address}`;
  }
}

/** Presence of people. */
export class PresenceCalls {
  constructor(private readonly http: Http) {}

  /** In the order asked for; any number of people, 200 a request. */
  async of(userIds: Id[], call?: CallOptions): Promise<Presence[]> {
    const found: Presence[] = [];
    for (let at = 0; at < userIds.length; at += PRESENCE_IDS_MAX) {
      const user_ids = userIds.slice(at, at + PRESENCE_IDS_MAX).join(",");
      const list = await this.http.json<PresenceList>("GET", "/v1/presence", { ...call, query: { user_ids } });
      found.push(...list.items);
    }
    return found;
  }

  /** Presence of those whom the person follows. */
  following(paging?: Paging): Pages<Presence> {
    return list(this.http, "/v1/presence/following", paging);
  }

  /** A sign of life of who has no realtime session. */
  heartbeat(call?: CallOptions): Promise<void> {
    return this.http.json("POST", "/v1/presence/heartbeat", call);
  }
}

/** Calls that realtime is made of; `Client.connect` is what applications use. */
export class RealtimeCalls {
  constructor(private readonly http: Http) {}

  /** Lets one connection in where headers cannot be set; good once, for sixty seconds. */
  ticket(call?: CallOptions): Promise<Ticket> {
    return this.http.json("POST", "/v1/realtime/tickets", call);
  }

  poll(cursor?: string | null, wait = 0, call: CallOptions = {}): Promise<PollAnswer> {
    const { signal, timeoutMs = wait * 1000 + 10_000 } = call;
    return this.http.json("GET", "/v1/realtime/poll", { query: { v: 1, cursor, wait }, signal, timeoutMs, retries: 0 });
  }

  /** Frames of a client without a socket; the replies, in the same order. */
  async send(frames: ClientFrame[], sessionId?: Id | null, call?: CallOptions): Promise<Reply[]> {
    const options = { ...call, query: { v: 1, session_id: sessionId }, body: { frames } };
    return (await this.http.json<{ replies: Reply[] }>("POST", "/v1/realtime/send", options)).replies;
  }
}

/** Calls of operators. */
export class Admin {
  constructor(private readonly http: Http) {}

  status(call?: CallOptions): Promise<Status> {
    return this.http.json("GET", "/v1/admin/status", call);
  }

  settings(call?: CallOptions): Promise<RunningSettings> {
    return this.http.json("GET", "/v1/admin/settings", call);
  }

  changeSettings(patch: PatchSettings, call?: CallOptions): Promise<RunningSettings> {
    return this.http.json("PATCH", "/v1/admin/settings", { ...call, body: patch });
  }

  /** Removes a consumer of the journal that is no more; `journal_consumers` of the status names them. */
  removeConsumer(name: string, options: Reasoned = {}): Promise<void> {
    const { reason, ...call } = options;
    return this.http.json("DELETE", `/v1/admin/consumers/${part(name)}`, { ...call, query: { reason } });
  }

  setRole(user: string, role: "user" | "admin", call?: CallOptions): Promise<void> {
    return this.http.json("PUT", `/v1/admin/users/${part(user)}/role`, { ...call, body: { role } });
  }

  /** Deletes a post, whoever wrote it. */
  deletePost(id: Id, options: Reasoned = {}): Promise<void> {
    const { reason, ...call } = options;
    return this.http.json("DELETE", `/v1/admin/posts/${part(id)}`, { ...call, query: { reason } });
  }

  /** A short link, whoever made it. */
  link(code: string, call?: CallOptions): Promise<AdminLink> {
    return this.http.json("GET", `/v1/admin/links/${part(code)}`, call);
  }

  /** Deletes a short link, whoever made it. */
  deleteLink(code: string, options: Reasoned = {}): Promise<void> {
    const { reason, ...call } = options;
    return this.http.json("DELETE", `/v1/admin/links/${part(code)}`, { ...call, query: { reason } });
  }

  /** Hides a person and lets them in nowhere, until the suspension ends or is lifted. */
  suspend(user: string, suspension: NewSuspension, call?: CallOptions): Promise<Suspension> {
    return this.http.json("PUT", `/v1/admin/users/${part(user)}/suspension`, { ...call, body: suspension });
  }

  /** Lifts a suspension. */
  unsuspend(user: string, options: Reasoned = {}): Promise<void> {
    const { reason, ...call } = options;
    return this.http.json("DELETE", `/v1/admin/users/${part(user)}/suspension`, { ...call, query: { reason } });
  }

  /** Suspended people, newest accounts first. */
  suspensions(paging?: Paging): Pages<Suspension> {
    return list(this.http, "/v1/admin/suspensions", paging);
  }

  /** What people reported, newest first, with copies of what it is about; the open ones where no state is named. */
  reports(query: Paging & { state?: ReportState | undefined } = {}): Pages<FiledReport> {
    return list(this.http, "/v1/admin/reports", query, { state: query.state });
  }

  /** Ends a report with a note, which stands in the audit too. */
  resolveReport(id: Id, note: string, call?: CallOptions): Promise<FiledReport> {
    return this.http.json("PUT", `/v1/admin/reports/${part(id)}/resolution`, { ...call, body: { note } });
  }

  /** Gives a person a password, and ends all their sessions. */
  setPassword(user: string, password: string, call?: CallOptions): Promise<void> {
    return this.http.json("PUT", `/v1/admin/users/${part(user)}/password`, { ...call, body: { password } });
  }

  /** Acts of operators, newest first. */
  audit(paging?: Paging): Pages<AuditEntry> {
    return list(this.http, "/v1/admin/audit", paging);
  }

  /** An event of your own, such as `shop.sale`, to those who are connected; it is not kept for others. */
  publish(
    to: { user_ids: Id[] } | { all: true },
    type: string,
    data: unknown,
    options: CallOptions & { lane?: Lane | undefined } = {},
  ): Promise<Published> {
    const { lane, ...call } = options;
    return this.http.json("POST", "/v1/admin/realtime/publish", { ...call, body: { ...to, type, data, lane } });
  }

  sessions(query: Paging & { user_id?: Id | undefined } = {}): Pages<RealtimeSession> {
    return list(this.http, "/v1/admin/realtime/sessions", query, { user_id: query.user_id });
  }

  closeSession(sessionId: Id, call?: CallOptions): Promise<void> {
    return this.http.json("DELETE", `/v1/admin/realtime/sessions/${part(sessionId)}`, call);
  }
}
