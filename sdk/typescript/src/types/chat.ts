// Types of the API: chat. Generated from the server's description of itself by scripts/types.mjs: do not edit.

import type { Id, Timestamp } from "./common.js";
import type { Media } from "./media.js";
import type { Mention } from "./posts.js";
import type { Author } from "./users.js";

/** Upload in a message. */
export type Attachment = Media & {
  /** Milliseconds, of a voice message. */
  duration_ms?: number | null | undefined;
  /** Name that the file is saved under. */
  filename?: string | null | undefined;
};

/** A change to a message that was there. */
export interface Change {
  /** Number of the change, without holes from 1. */
  change_seq: number;
  /** Kind of the change. */
  kind: ChangeKind;
  /** The message as it is now; `null` when the caller may not see it. */
  message?: Message | null | undefined;
  /** Number of the message. */
  seq: number;
}

/** Kind of a change to a message that was there. */
export type ChangeKind = "edited" | "recalled" | "reacted" | "pinned" | "unpinned" | (string & {});

/** `GET /v1/conversations/{id}/changes`, oldest first. */
export interface ChangePage {
  /** Number of the newest change of the conversation. */
  change_seq: number;
  /** The changes above the one that was asked for. */
  items: Change[];
}

/** `GET /v1/users/me/chat`. */
export interface ChatPreferences {
  /** People who see whether the person is online, and when they were last; to others they are offline. */
  last_seen: LastSeen;
  /** Whether others see what the person has read, and the person what others have. */
  read_receipts: boolean;
  /** People who may add the person to groups. */
  who_may_add: WhoMay;
  /** People who may begin a direct conversation with the person. */
  who_may_message: WhoMay;
}

/** A conversation as one member sees it. */
export interface Conversation {
  /** Only admins write. */
  announcements_only: boolean;
  /** Number of the newest change to a message that was there; 0 when there is none. */
  change_seq: number;
  /** Moment it was made. */
  created_at: Timestamp;
  /** Only where true: the caller hid it, and it is not in their folders until something new comes. */
  hidden?: boolean | undefined;
  /** Part of the history that new members see. */
  history: History;
  /** The conversation. */
  id: Id;
  /** The caller has not accepted it yet: somebody whom they do not know wants to talk to them. */
  is_request: boolean;
  /** Whether it is of two people or of a group. */
  kind: ConversationKind;
  /** The newest message that the caller may see. */
  last_message?: Message | null | undefined;
  /** Number of the newest message; 0 when there is none. */
  last_seq: number;
  /** Only where true: the caller left or was removed. Only in lists by `changed_after`. */
  left?: boolean | undefined;
  /** People in it. */
  member_count: number;
  /** Unread messages that name the caller; counting stops at 100. */
  mention_count: number;
  /** The other person of a direct conversation; `null` when their account is gone. */
  peer?: Author | null | undefined;
  /** Settings that the caller keeps to themselves. */
  personal: Personal;
  /** Picture of a group, if it has one. */
  picture_url?: string | null | undefined;
  /** Everything up to here was read by the caller. */
  read_seq: number;
  /** Role of the caller. */
  role: MemberRole;
  /** Seconds between two messages of a member who is no admin; 0 for none. */
  slow_mode_s: number;
  /** Title of a group, if it has one. */
  title?: string | null | undefined;
  /** Messages above it. */
  unread_count: number;
  /** Lowest number that the caller may see. */
  visible_from: number;
}

/** Whether a conversation is of two people or of a group. */
export type ConversationKind = "direct" | "group";

/** Page of conversations. */
export interface ConversationPage {
  /** Value of `changed_after` for the next time: what happens from now on is behind it. */
  changes_cursor: string;
  /** Newest message first; pinned ones before, where asked. */
  items: Conversation[];
  /** Cursor of the next page; `null` on the last. */
  next_cursor?: string | null | undefined;
}

/** Words that a message had before an edit. */
export interface EarlierText {
  /** Moment from which the message said them. */
  at: Timestamp;
  /** The words. */
  text: string;
}

/** `PATCH /v1/conversations/{id}/messages/{seq}`. */
export interface EditMessage {
  /** The new words, up to `chat.text_max` characters. */
  text: string;
}

/** A message of any conversation that the caller can see. */
export interface Forward {
  /** Conversation of the message. */
  conversation_id: Id;
  /** Number of the message there. */
  seq: number;
}

/** Part of a group's history that a new member sees. */
export type History = "from_join" | "all";

/** An invite to a group. */
export interface Invite {
  /** Moment it was made. */
  created_at: Timestamp;
  /** Person who made it. */
  created_by: Id;
  /** Moment from which it is good no more. */
  expires_at?: Timestamp | null | undefined;
  /** The invite, to revoke it by. */
  id: Id;
  /** Joinings that it is good for. */
  max_uses?: number | null | undefined;
  /** Secret that lets in whoever has it; told once, when it is made. */
  token?: string | null | undefined;
  /** Joinings so far. */
  uses: number;
}

/** `GET /v1/invites/{token}`: a group as whoever has an invite sees it before they join. */
export interface InviteLook {
  /** The group. */
  conversation_id: Id;
  /** Whether the caller is in it already. */
  joined: boolean;
  /** People in it. */
  member_count: number;
  /** Picture, if it has one. */
  picture_url?: string | null | undefined;
  /** Title, if it has one. */
  title?: string | null | undefined;
}

/** People who see whether somebody is there, and when they were last. */
export type LastSeen = "everybody" | "followed" | "nobody";

/** A member of a conversation. */
export interface Member {
  /** Moment they joined. */
  joined_at: Timestamp;
  /** Standing of the person. */
  role: MemberRole;
  /** The person. */
  user: Author;
}

/** Standing of a member of a group. In a direct conversation both are members. */
export type MemberRole = "member" | "admin" | "owner";

/** An item of `GET /v1/mentions`: a message that names the caller. */
export interface MentionedIn {
  /** The message. */
  message: Message;
  /** Whether the caller has read up to it. */
  read: boolean;
}

/** A message. */
export interface Message {
  /** Upload, if it has one. */
  attachment?: Attachment | null | undefined;
  /** Chosen by the client that sent it; empty for system messages. */
  client_id: string;
  /** Conversation in which it stands. */
  conversation_id: Id;
  /** Moment it was sent. */
  created_at: Timestamp;
  /** Moment of the last edit. */
  edited_at?: Timestamp | null | undefined;
  /** Passed on from elsewhere. */
  forwarded?: boolean | undefined;
  /** The message. */
  id: Id;
  /** Kind of the message. */
  kind: MessageKind;
  /** `http` and `https` addresses found in the text. */
  links?: string[] | undefined;
  /** People named in the text who are members. */
  mentions?: Mention[] | undefined;
  /** Names everybody. */
  mentions_all?: boolean | undefined;
  /** Reactions, those that came first first. */
  reactions?: Reaction[] | undefined;
  /** Taken back: number and place stay. */
  recalled: boolean;
  /** Person who took it back, where that was not the sender. */
  recalled_by?: Id | null | undefined;
  /** The message that this one answers, as it is now. */
  reply_to?: Quote | null | undefined;
  /** Person who sent it, or did what a system message tells. Without handle and name when the account is gone. */
  sender: Author;
  /** Number in the conversation, without holes from 1. */
  seq: number;
  /** Event that a system message tells of. */
  system?: SystemEvent | null | undefined;
  /** Words; empty when it was recalled. */
  text: string;
}

/** Kind of a message. */
export type MessageKind = "text" | "image" | "file" | "voice" | "system" | (string & {});

/** Page of messages. */
export interface MessagePage {
  /** Number of the newest change; what happened up to there is in the items. */
  change_seq: number;
  /** Newest first with `before_seq` and `around_seq`, oldest first with `after_seq`; without holes. */
  items: Message[];
  /** Number of the newest message of the conversation. */
  last_seq: number;
  /** Lowest number that the caller may see. */
  visible_from: number;
}

/** `POST /v1/conversations`. */
export interface NewConversation {
  /** Part of the history that new members of a group see. */
  history?: History | null | undefined;
  /** Whether it is of two people or of a group. */
  kind: ConversationKind;
  /** The other members: one for a direct conversation, up to 499 for a group. */
  member_ids: Id[];
  /** Title of a group, up to 100 characters. A direct conversation has none. */
  title?: string | null | undefined;
}

/** `POST /v1/conversations/{id}/invites`. */
export interface NewInvite {
  /** Moment from which it is good no more; never without. */
  expires_at?: Timestamp | null | undefined;
  /** Joinings that it is good for, 1 to 10,000; any number without. */
  max_uses?: number | null | undefined;
}

/** `POST /v1/conversations/{id}/messages`. */
export interface NewMessage {
  /** Chosen by the client, 1 to 64 bytes: the same one again within 7 days is the same message. */
  client_id: string;
  /** Milliseconds of a voice message. */
  duration_ms?: number | null | undefined;
  /** Message that this one passes on; kind, text and upload are then that one's. */
  forward?: Forward | null | undefined;
  /** `text`, `image`, `file` or `voice`. */
  kind: MessageKind;
  /** An upload of the caller for messages. */
  media_id?: Id | null | undefined;
  /** Number of the message that this one answers. */
  reply_to?: number | null | undefined;
  /** Up to `chat.text_max` characters (8,000). */
  text?: string | null | undefined;
}

/** Messages of a conversation that a person wants to hear of. */
export type Notify = "all" | "mentions" | "nothing";

/** `PATCH /v1/users/me/chat`, a JSON merge patch: a field that is absent stays, one that is `null` was never chosen. */
export interface PatchChatPreferences {
  /** People who see whether the person is online, and when they were last; to others they are offline. */
  last_seen?: LastSeen | null | undefined;
  /** Whether others see what the person has read, and the person what others have. */
  read_receipts?: boolean | null | undefined;
  /** People who may add the person to groups. */
  who_may_add?: WhoMay | null | undefined;
  /** People who may begin a direct conversation with the person. */
  who_may_message?: WhoMay | null | undefined;
}

/** `PATCH /v1/conversations/{id}`, a JSON merge patch: a field that is absent stays, one that is `null` is cleared. */
export interface PatchConversation {
  /** Only admins write. */
  announcements_only?: boolean | null | undefined;
  /** Part of the history that members who come later see. */
  history?: History | null | undefined;
  /** An image that the caller uploaded; `null` removes the picture. */
  picture_media_id?: Id | null | undefined;
  /** Seconds between two messages of a member who is no admin, up to 86,400; 0 for none. */
  slow_mode_s?: number | null | undefined;
  /** Up to 100 characters. */
  title?: string | null | undefined;
}

/** `PUT /v1/conversations/{id}/personal`: a field that is absent stays, one that is `null` is cleared. */
export interface PatchPersonal {
  /** Move it out of the inbox, or back. */
  archived?: boolean | null | undefined;
  /** Text that was begun, up to `chat.text_max` characters; the last one written stands. */
  draft?: string | null | undefined;
  /** Show it as unread; moves no receipt. */
  marked_unread?: boolean | null | undefined;
  /** End of the silence; `null` ends it now. */
  muted_until?: Timestamp | null | undefined;
  /** Messages to hear of. */
  notify?: Notify | null | undefined;
  /** Show it first. */
  pinned?: boolean | null | undefined;
}

/** Settings of one person for one conversation, the same on all of their devices. */
export interface Personal {
  /** Not in the inbox. A new message brings it back, unless it is muted. */
  archived?: boolean | undefined;
  /** Text that was begun; empty for none. */
  draft?: string | undefined;
  /** Shown as unread, whatever was read. */
  marked_unread?: boolean | undefined;
  /** End of the silence, if it is silent. */
  muted_until?: Timestamp | null | undefined;
  /** Messages that the person wants to hear of. */
  notify?: Notify | undefined;
  /** Shown first. */
  pinned?: boolean | undefined;
}

/** The message that another one answers. */
export interface Quote {
  /** Kind of the message. */
  kind: MessageKind;
  /** Taken back. */
  recalled: boolean;
  /** Person who sent it; `null` when the caller may not see the message. */
  sender_id?: Id | null | undefined;
  /** Number of the message. */
  seq: number;
  /** The first 200 characters; empty when it was recalled. */
  text: string;
}

/** Reactions of one kind to a message. */
export interface Reaction {
  /** People who chose it. */
  count: number;
  /** The kind, one emoji. */
  emoji: string;
  /** The caller is among them. Absent in realtime frames, which many get the same of. */
  mine?: boolean | null | undefined;
  /** Up to eight of them, the latest last. */
  user_ids: Id[];
}

/** Somebody who reacted to a message. */
export interface Reactor {
  /** Kind of the reaction, one emoji. */
  emoji: string;
  /** The person. Without handle and name when the account is gone. */
  user: Author;
}

/** Marks of a member: two numbers that only rise. */
export interface Receipt {
  /** Everything up to here has reached one of their devices. */
  delivered_seq: number;
  /** Everything up to here was read; 0 where one of the two does not share that. */
  read_seq: number;
  /** The member. */
  user_id: Id;
}

/** `POST /v1/conversations/requests/decline`. */
export interface RequestsDeclined {
  /** Requests and invitations that are declined now. */
  declined: number;
  /** Whether there are more: a call declines up to 1,000. */
  more: boolean;
}

/** `PATCH /v1/conversations/{id}/members/{user_id}`. */
export interface RoleChange {
  /** The new role; `owner` hands the group over, and the caller becomes an admin. */
  role: MemberRole;
}

/** Event that a system message tells of; the sender is who did it. */
export interface SystemEvent {
  /** Kind of the event. */
  kind: SystemKind;
  /** Message that it is about. */
  seq?: number | null | undefined;
  /** The new title, where that changed. */
  title?: string | null | undefined;
  /** People it is about. */
  user_ids?: Id[] | undefined;
}

/** Kind of event that a system message tells of. */
export type SystemKind =
  | "created"
  | "added"
  | "joined"
  | "left"
  | "removed"
  | "role_changed"
  | "owner_changed"
  | "settings_changed"
  | "pinned"
  | (string & {});

/** `GET /v1/conversations/unread`. */
export interface UnreadConversations {
  /** Conversations of the inbox with something unread, or marked as unread; muted ones are not counted. */
  conversations: number;
  /** Messages that name the caller and are unread. */
  mentions: number;
  /** Unread messages in them. */
  messages: number;
  /** Requests that wait for an answer. */
  requests: number;
}

/** Data of `read` and `delivered`, and, without the conversation, body of the calls of these names. */
export interface Watermark {
  /** The conversation; in a call it stands in the address. */
  conversation_id?: Id | null | undefined;
  /** Everything up to here; a lower one than before changes nothing. */
  seq: number;
}

/** People who may do something. */
export type WhoMay = "everybody" | "requests" | "followed" | "nobody";
