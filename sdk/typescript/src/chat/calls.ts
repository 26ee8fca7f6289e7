// Calls of conversations, as the API has them. `Chat` is what applications hold; it calls these.

import type { Once } from "../calls.js";
import type { CallOptions, Http, RequestOptions } from "../http.js";
import { Pages, type Paging } from "../paging.js";
import { randomKey } from "../random.js";
import type { Id, Page } from "../types.js";
import type { Folder } from "./list.js";
import type {
  Attachment,
  ChangePage,
  ChatPreferences,
  Conversation,
  ConversationPage,
  EarlierText,
  Invite,
  InviteLook,
  Member,
  MemberRole,
  MentionedIn,
  Message,
  MessagePage,
  NewConversation,
  NewInvite,
  NewMessage,
  PatchChatPreferences,
  PatchConversation,
  Personal,
  Reactor,
  Receipt,
  RequestsDeclined,
  UnreadConversations,
} from "./types.js";

/** Milliseconds before its end from which an address of an upload counts as none. */
const ENDS_SOON_MS = 60_000;

/** Part of the list of conversations. */
export interface ConversationsQuery extends Paging {
  /** The inbox when absent. */
  folder?: Folder | undefined;
  /** `changes_cursor` of an earlier page, or `next_cursor` of such an answer: only what changed since, of all folders. */
  changed_after?: string | undefined;
}

/** Part of a conversation's messages; one of the three at most. */
export interface MessagesQuery extends CallOptions {
  before_seq?: number | undefined;
  after_seq?: number | undefined;
  around_seq?: number | undefined;
  /** 1 to 100. */
  limit?: number | undefined;
}

/** Conversations, their members and messages. */
export class Conversations {
  constructor(private readonly http: Http) {}

  /** Newest message first. */
  list(query: ConversationsQuery = {}): Pages<Conversation, ConversationPage> {
    const { folder, changed_after, limit, signal, timeoutMs } = query;
    const ask = (cursor: string | null | undefined) => {
      const options = { signal, timeoutMs, query: { folder, changed_after, limit, cursor } };
      return this.http.json<ConversationPage>("GET", "/v1/conversations", options);
    };
    return new Pages(ask, query.cursor);
  }

  /** Numbers for badges. */
  unread(call?: CallOptions): Promise<UnreadConversations> {
    return this.http.json("GET", "/v1/conversations/unread", call);
  }

  /** A direct conversation of the same pair is made once, however often it is asked for. */
  create(conversation: NewConversation, once: Once = {}): Promise<Conversation> {
    // Without it a group would be made twice.
    const idempotencyKey = once.idempotencyKey ?? randomKey();
    return this.http.json("POST", "/v1/conversations", { ...once, body: conversation, idempotencyKey });
  }

  get(id: Id, call?: CallOptions): Promise<Conversation> {
    return this.#ask("GET", id, "", call);
  }

  /** Changes title, picture or settings of a group. */
  update(id: Id, patch: PatchConversation, call?: CallOptions): Promise<Conversation> {
    return this.#ask("PATCH", id, "", { ...call, body: patch });
  }

  /** Hides it for the caller until something new comes. */
  hide(id: Id, call?: CallOptions): Promise<void> {
    return this.#ask("DELETE", id, "", call);
  }

  members(id: Id, paging: Paging = {}): Pages<Member> {
    return this.#list(id, "/members", paging);
  }

  /** Adds where the person's setting allows it, otherwise sends them a request. */
  addMember(id: Id, user: Id, call?: CallOptions): Promise<Conversation> {
    return this.#ask("PUT", id, `/members/${encodeURIComponent(user)}`, call);
  }

  /** Removes a member; with the caller's own id it is leaving. */
  removeMember(id: Id, user: Id, call?: CallOptions): Promise<void> {
    return this.#ask("DELETE", id, `/members/${encodeURIComponent(user)}`, call);
  }

  /** `owner` hands the group over. */
  setRole(id: Id, user: Id, role: MemberRole, call?: CallOptions): Promise<Member> {
    return this.#ask("PATCH", id, `/members/${encodeURIComponent(user)}`, { ...call, body: { role } });
  }

  /** Accepts a request, or an invitation to a group. Answering a request accepts it too. */
  accept(id: Id, call?: CallOptions): Promise<Conversation> {
    return this.#ask("POST", id, "/accept", { ...call, repeatable: true });
  }

  /** Declines a request, or an invitation to a group; whoever asked is not told. */
  decline(id: Id, call?: CallOptions): Promise<void> {
    return this.#ask("POST", id, "/decline", { ...call, repeatable: true });
  }

  /** Declines the requests and invitations that wait, up to 1,000; whoever asked is not told. */
  declineAll(call: CallOptions = {}): Promise<RequestsDeclined> {
    return this.http.json("POST", "/v1/conversations/requests/decline", { ...call, repeatable: true });
  }

  /** Makes an invite to a group; its token is told this once. */
  invite(id: Id, invite: NewInvite = {}, call?: CallOptions): Promise<Invite> {
    return this.#ask("POST", id, "/invites", { ...call, body: invite });
  }

  /** Invites of a group that are good, the latest first. */
  invites(id: Id, paging: Paging = {}): Pages<Invite> {
    return this.#list(id, "/invites", paging);
  }

  revokeInvite(id: Id, invite: Id, call?: CallOptions): Promise<void> {
    return this.#ask("DELETE", id, `/invites/${encodeURIComponent(invite)}`, call);
  }

  /** A group as whoever has an invite sees it before joining. */
  lookAtInvite(token: string, call?: CallOptions): Promise<InviteLook> {
    return this.http.json("GET", `/v1/invites/${encodeURIComponent(token)}`, call);
  }

  join(token: string, call: CallOptions = {}): Promise<Conversation> {
    return this.http.json("POST", `/v1/invites/${encodeURIComponent(token)}/join`, { ...call, repeatable: true });
  }

  messages(id: Id, query: MessagesQuery = {}): Promise<MessagePage> {
    const { before_seq, after_seq, around_seq, limit, signal, timeoutMs } = query;
    return this.#ask("GET", id, "/messages", { signal, timeoutMs, query: { before_seq, after_seq, around_seq, limit } });
  }

  /**
   * The upload of a message, with addresses that are good for a while: the message is read again where those that are
   * known have ended, or are about to. `null` where it has none, or was taken back meanwhile.
   */
  async attachment(message: Message, call?: CallOptions): Promise<Attachment | null> {
    const known = message.attachment ?? null;
    const ends = known?.expires_at ? Date.parse(known.expires_at) : Infinity;
    if (known === null || ends - this.http.clock.now() > ENDS_SOON_MS) return known;
    return (await this.message(message.conversation_id, message.seq, call)).attachment ?? null;
  }

  message(id: Id, seq: number, call?: CallOptions): Promise<Message> {
    return this.#ask("GET", id, `/messages/${seq}`, call);
  }

  /** Sends once: the same `client_id` again is the same message. `Chat.send` keeps order and tries again by itself. */
  send(id: Id, message: NewMessage, call: CallOptions & { retries?: number | undefined } = {}): Promise<Message> {
    return this.#ask("POST", id, "/messages", { ...call, body: message, repeatable: true });
  }

  edit(id: Id, seq: number, text: string, call?: CallOptions): Promise<Message> {
    return this.#ask("PATCH", id, `/messages/${seq}`, { ...call, body: { text } });
  }

  /** Takes a message back: its number stays, its text goes. */
  recall(id: Id, seq: number, call?: CallOptions): Promise<void> {
    return this.#ask("DELETE", id, `/messages/${seq}`, call);
  }

  /** Texts that a message had before, oldest first. */
  edits(id: Id, seq: number, call?: CallOptions): Promise<Page<EarlierText>> {
    return this.#ask("GET", id, `/messages/${seq}/edits`, call);
  }

  react(id: Id, seq: number, emoji: string, call?: CallOptions): Promise<Message> {
    return this.#ask("PUT", id, `/messages/${seq}/reactions/${encodeURIComponent(emoji)}`, call);
  }

  unreact(id: Id, seq: number, emoji: string, call?: CallOptions): Promise<Message> {
    return this.#ask("DELETE", id, `/messages/${seq}/reactions/${encodeURIComponent(emoji)}`, call);
  }

  /** People who reacted to a message: with this emoji, or with any. */
  reactors(id: Id, seq: number, query: Paging & { emoji?: string | undefined } = {}): Pages<Reactor> {
    const { emoji, ...paging } = query;
    return this.#pages(`/v1/conversations/${encodeURIComponent(id)}/messages/${seq}/reactions`, paging, { emoji });
  }

  /** Pinned messages, the latest pin first. */
  pins(id: Id, call?: CallOptions): Promise<Page<Message>> {
    return this.#ask("GET", id, "/pins", call);
  }

  pin(id: Id, seq: number, call?: CallOptions): Promise<void> {
    return this.#ask("PUT", id, `/pins/${seq}`, call);
  }

  unpin(id: Id, seq: number, call?: CallOptions): Promise<void> {
    return this.#ask("DELETE", id, `/pins/${seq}`, call);
  }

  /** Changes to messages that were there. Older than 14 days: a ProblemError `snapshot_expired`. */
  changes(id: Id, after: number, query: CallOptions & { limit?: number | undefined } = {}): Promise<ChangePage> {
    const { limit, signal, timeoutMs } = query;
    return this.#ask("GET", id, "/changes", { signal, timeoutMs, query: { after, limit } });
  }

  /** Moves the caller's read mark, forward only. */
  markRead(id: Id, seq: number, call?: CallOptions): Promise<Receipt> {
    return this.#ask("PUT", id, "/read", { ...call, body: { seq } });
  }

  /** Tells that everything up to here has reached this device. */
  markDelivered(id: Id, seq: number, call?: CallOptions): Promise<Receipt> {
    return this.#ask("PUT", id, "/delivered", { ...call, body: { seq } });
  }

  receipts(id: Id, paging: Paging = {}): Pages<Receipt> {
    return this.#list(id, "/receipts", paging);
  }

  /** Changes what the caller keeps to themselves: mute, pin, archive, draft. */
  setPersonal(id: Id, patch: Personal, call?: CallOptions): Promise<Personal> {
    return this.#ask("PUT", id, "/personal", { ...call, body: patch });
  }

  /** People who may write to the caller, add them to groups and see whether they are there, and whether marks are shared. */
  preferences(call?: CallOptions): Promise<ChatPreferences> {
    return this.http.json("GET", "/v1/users/me/chat", call);
  }

  changePreferences(patch: PatchChatPreferences, call?: CallOptions): Promise<ChatPreferences> {
    return this.http.json("PATCH", "/v1/users/me/chat", { ...call, body: patch });
  }

  /** Messages that name the caller, newest first, across conversations. */
  mentions(paging: Paging = {}): Pages<MentionedIn> {
    return this.#pages("/v1/mentions", paging);
  }

  #list<T>(id: Id, path: string, paging: Paging): Pages<T> {
    return this.#pages(`/v1/conversations/${encodeURIComponent(id)}${path}`, paging);
  }

  #pages<T>(path: string, paging: Paging, more: { emoji?: string | undefined } = {}): Pages<T> {
    const { limit, signal, timeoutMs, cursor: first } = paging;
    const ask = (cursor: string | null | undefined) =>
      this.http.json<Page<T>>("GET", path, { signal, timeoutMs, query: { ...more, limit, cursor } });
    return new Pages(ask, first);
  }

  #ask<T>(method: string, id: Id, path: string, options: RequestOptions = {}): Promise<T> {
    return this.http.json<T>(method, `/v1/conversations/${encodeURIComponent(id)}${path}`, options);
  }
}
