// The API as typed calls, grouped as its documentation groups them. Each throws ProblemError or NetworkError.

import { Http, type HttpOptions, type RequestOptions, type TokenSource } from "./http.js";
import { Pages, type Paging } from "./paging.js";
import { Realtime } from "./realtime/realtime.js";
import type { RealtimeOptions } from "./realtime/options.js";
import type {
  ClientFrame,
  Id,
  Lane,
  LiveSettings,
  Media,
  NewPost,
  NewUser,
  Notification,
  NotificationPage,
  NotificationsUnread,
  Page,
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
  Session,
  Status,
  Ticket,
  UnreadCount,
  User,
} from "./types.js";

/** People named in one request about presence. */
const PRESENCE_IDS_MAX = 200;

/** What creating calls take besides their body. */
export interface Once {
  /** Yours, to make a repetition of your own recognisable; made up when absent, for repetitions by the client. */
  idempotencyKey?: string;
}

/** Lists of the API. */
function list<T, P extends Page<T> = Page<T>>(
  http: Http,
  path: string,
  paging: Paging = {},
  query: RequestOptions["query"] = {},
): Pages<T, P> {
  const ask = (cursor: string | null | undefined) =>
    http.json<P>("GET", path, { query: { ...query, limit: paging.limit, cursor } });
  return new Pages<T, P>(ask, paging.cursor);
}

/** A part of a path. A leading `@` is kept: handles are written with it. */
function part(value: string): string {
  return encodeURIComponent(value).replace(/^%40/, "@");
}

/** A server and a person, or nobody. */
export class Client {
  /** Requests that no call here makes. */
  readonly http: Http;
  readonly accounts: Accounts;
  readonly users: Users;
  readonly posts: Posts;
  readonly feed: Feed;
  readonly notifications: Notifications;
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
    this.notifications = new Notifications(this.http);
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
  async register(user: NewUser): Promise<Session> {
    return this.#logged(await this.http.json<Session>("POST", "/v1/users", { body: user }));
  }

  /** Logs in and takes the token for the requests to come. */
  async logIn(handle: string, password: string): Promise<Session> {
    return this.#logged(await this.http.json<Session>("POST", "/v1/sessions", { body: { handle, password } }));
  }

  /** Ends this session. */
  async logOut(): Promise<void> {
    await this.http.json<void>("DELETE", "/v1/sessions/current");
    this.http.setToken(null);
  }

  /** Ends every session of the person. */
  async logOutEverywhere(): Promise<void> {
    await this.http.json<void>("DELETE", "/v1/sessions");
    this.http.setToken(null);
  }

  /** Ends the person's other sessions too. */
  changePassword(current: string, password: string): Promise<void> {
    const body = { current_password: current, new_password: password };
    return this.http.json("PUT", "/v1/users/me/password", { body });
  }

  /** Deletes the account and the person's data, for good. */
  async delete(): Promise<void> {
    await this.http.json<void>("DELETE", "/v1/users/me");
    this.http.setToken(null);
  }

  #logged(session: Session): Session {
    this.http.setToken(session.token);
    return session;
  }
}

/** People; `user` is an id or `@handle`. */
export class Users {
  constructor(private readonly http: Http) {}

  me(): Promise<User> {
    return this.http.json("GET", "/v1/users/me");
  }

  updateMe(patch: PatchUser): Promise<User> {
    return this.http.json("PATCH", "/v1/users/me", { body: patch });
  }

  get(user: string): Promise<User> {
    return this.http.json("GET", `/v1/users/${part(user)}`);
  }

  search(q: string, paging?: Paging): Pages<User> {
    return list(this.http, "/v1/search/users", paging, { q });
  }

  follow(user: string): Promise<Relationship> {
    return this.#edge("PUT", user, "follow");
  }

  unfollow(user: string): Promise<Relationship> {
    return this.#edge("DELETE", user, "follow");
  }

  block(user: string): Promise<Relationship> {
    return this.#edge("PUT", user, "block");
  }

  unblock(user: string): Promise<Relationship> {
    return this.#edge("DELETE", user, "block");
  }

  mute(user: string): Promise<Relationship> {
    return this.#edge("PUT", user, "mute");
  }

  unmute(user: string): Promise<Relationship> {
    return this.#edge("DELETE", user, "mute");
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

  #edge(method: string, user: string, edge: string): Promise<Relationship> {
    return this.http.json(method, `/v1/users/${part(user)}/${edge}`);
  }
}

/** Posts, replies, reposts, likes. */
export class Posts {
  constructor(private readonly http: Http) {}

  /** Published once, however often the network makes the client try. */
  create(post: NewPost, once: Once = {}): Promise<Post> {
    const idempotencyKey = once.idempotencyKey ?? crypto.randomUUID();
    return this.http.json("POST", "/v1/posts", { body: post, idempotencyKey });
  }

  get(id: Id): Promise<Post> {
    return this.http.json("GET", `/v1/posts/${part(id)}`);
  }

  delete(id: Id): Promise<void> {
    return this.http.json("DELETE", `/v1/posts/${part(id)}`);
  }

  like(id: Id): Promise<Post> {
    return this.http.json("PUT", `/v1/posts/${part(id)}/like`);
  }

  unlike(id: Id): Promise<Post> {
    return this.http.json("DELETE", `/v1/posts/${part(id)}/like`);
  }

  likes(id: Id, paging?: Paging): Pages<User> {
    return list(this.http, `/v1/posts/${part(id)}/likes`, paging);
  }

  /** Oldest first. Those that are gone keep their place while they are answered: only posts have an `author`. */
  replies(id: Id, paging?: Paging): Pages<PostOrGone> {
    return list(this.http, `/v1/posts/${part(id)}/replies`, paging);
  }

  /** What the post answers, itself, and its first replies; of a bare repost, those of its original. */
  thread(id: Id): Promise<PostThread> {
    return this.http.json("GET", `/v1/posts/${part(id)}/thread`);
  }

  /** The latest of everybody. */
  public(paging?: Paging): Pages<Post> {
    return list(this.http, "/v1/posts", paging, { scope: "public" });
  }
}

/** The home feed. */
export class Feed {
  constructor(private readonly http: Http) {}

  read(query: Paging & { order?: "latest" | "ranked"; since_id?: Id } = {}): Pages<Post> {
    const { order, since_id } = query;
    return list(this.http, "/v1/feed", query, { order, since_id });
  }

  unread(): Promise<UnreadCount> {
    return this.http.json("GET", "/v1/feed/unread");
  }

  markRead(last_read_id: Id): Promise<UnreadCount> {
    return this.http.json("PUT", "/v1/feed/read", { body: { last_read_id } });
  }
}

/** What others did. */
export class Notifications {
  constructor(private readonly http: Http) {}

  list(paging?: Paging): Pages<Notification, NotificationPage> {
    return list<Notification, NotificationPage>(this.http, "/v1/notifications", paging);
  }

  markRead(last_read_id: Id): Promise<NotificationsUnread> {
    return this.http.json("PUT", "/v1/notifications/read", { body: { last_read_id } });
  }
}

/** Uploads. */
export class MediaCalls {
  constructor(private readonly http: Http) {}

  /** `alt` says in words what a picture shows. Uploads that break off are not tried again unless you name a key. */
  upload(file: Blob, options: Once & { filename?: string; alt?: string; timeoutMs?: number } = {}): Promise<Media> {
    const body = new FormData();
    if (options.alt !== undefined) body.append("alt", options.alt);
    body.append("file", file, options.filename ?? (file as File).name ?? "file");
    const { idempotencyKey, timeoutMs = 600_000 } = options;
    return this.http.json("POST", "/v1/media", { body, idempotencyKey, timeoutMs });
  }
}

/** Who is there. */
export class PresenceCalls {
  constructor(private readonly http: Http) {}

  /** In the order asked for; any number of people, 200 a request. */
  async of(userIds: Id[]): Promise<Presence[]> {
    const found: Presence[] = [];
    for (let at = 0; at < userIds.length; at += PRESENCE_IDS_MAX) {
      const user_ids = userIds.slice(at, at + PRESENCE_IDS_MAX).join(",");
      found.push(...(await this.http.json<PresenceList>("GET", "/v1/presence", { query: { user_ids } })).items);
    }
    return found;
  }

  /** Those whom the person follows. */
  following(paging?: Paging): Pages<Presence> {
    return list(this.http, "/v1/presence/following", paging);
  }

  /** A sign of life of who has no realtime session. */
  heartbeat(): Promise<void> {
    return this.http.json("POST", "/v1/presence/heartbeat");
  }
}

/** What realtime stands on; `Client.connect` is what applications use. */
export class RealtimeCalls {
  constructor(private readonly http: Http) {}

  /** Lets one connection in where headers cannot be set; good once, for sixty seconds. */
  ticket(): Promise<Ticket> {
    return this.http.json("POST", "/v1/realtime/tickets");
  }

  poll(cursor?: string | null, wait = 0): Promise<PollAnswer> {
    const timeoutMs = wait * 1000 + 10_000;
    return this.http.json("GET", "/v1/realtime/poll", { query: { v: 1, cursor, wait }, timeoutMs, retries: 0 });
  }

  /** Frames of a client without a socket; the replies, in the same order. */
  async send(frames: ClientFrame[], sessionId?: Id | null): Promise<Reply[]> {
    const options = { query: { v: 1, session_id: sessionId }, body: { frames } };
    return (await this.http.json<{ replies: Reply[] }>("POST", "/v1/realtime/send", options)).replies;
  }
}

/** Calls of operators. */
export class Admin {
  constructor(private readonly http: Http) {}

  status(): Promise<Status> {
    return this.http.json("GET", "/v1/admin/status");
  }

  settings(): Promise<LiveSettings> {
    return this.http.json("GET", "/v1/admin/settings");
  }

  changeSettings(patch: PatchSettings): Promise<LiveSettings> {
    return this.http.json("PATCH", "/v1/admin/settings", { body: patch });
  }

  setRole(user: string, role: "user" | "admin"): Promise<void> {
    return this.http.json("PUT", `/v1/admin/users/${part(user)}/role`, { body: { role } });
  }

  /** An event of your own, such as `shop.sale`, to those who are connected; it is not kept for others. */
  publish(to: { user_ids: Id[] } | { all: true }, type: string, data: unknown, lane?: Lane): Promise<Published> {
    return this.http.json("POST", "/v1/admin/realtime/publish", { body: { ...to, type, data, lane } });
  }

  sessions(query: Paging & { user_id?: Id } = {}): Pages<RealtimeSession> {
    return list(this.http, "/v1/admin/realtime/sessions", query, { user_id: query.user_id });
  }

  closeSession(sessionId: Id): Promise<void> {
    return this.http.json("DELETE", `/v1/admin/realtime/sessions/${part(sessionId)}`);
  }
}
