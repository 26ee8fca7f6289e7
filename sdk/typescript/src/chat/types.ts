// Conversations and messages as the API answers them, and the frames that tell of them.

import type { Author, Id, Media, Mention, Timestamp } from "../types.js";

/** Whether a conversation is of two people or of a group. */
export type ConversationKind = "direct" | "group";

/** Standing of a member of a group. */
export type MemberRole = "member" | "admin" | "owner";

/** Part of a group's history that a new member sees. */
export type History = "from_join" | "all";

/** Messages of a conversation that a person wants to hear of. */
export type Notify = "all" | "mentions" | "nothing";

/** Kind of a message; a newer server may have more. */
export type MessageKind = "text" | "image" | "file" | "voice" | "system" | (string & {});

/** Body of a new conversation. */
export interface NewConversation {
  kind: ConversationKind;
  /** The other members: one for a direct conversation. */
  member_ids: Id[];
  /** Title of a group. */
  title?: string | null | undefined;
  history?: History | null | undefined;
}

/** Changes to a group, a JSON merge patch. */
export interface PatchConversation {
  title?: string | null | undefined;
  /** An image that the caller uploaded; `null` removes the picture. */
  picture_media_id?: Id | null | undefined;
  history?: History | undefined;
  /** Only admins write. */
  announcements_only?: boolean | undefined;
  /** Seconds between two messages of a member who is no admin; 0 for none. */
  slow_mode_s?: number | undefined;
}

/** Settings of one person for one conversation, the same on all of their devices. */
export interface Personal {
  muted_until?: Timestamp | null | undefined;
  notify?: Notify | undefined;
  /** Shown first. */
  pinned?: boolean | undefined;
  /** Not in the inbox. */
  archived?: boolean | undefined;
  /** Shown as unread, whatever was read. */
  marked_unread?: boolean | undefined;
  /** Text that was begun; empty for none. */
  draft?: string | undefined;
}

/** A conversation as one member sees it. */
export interface Conversation {
  id: Id;
  kind: ConversationKind;
  title?: string | null | undefined;
  picture_url?: string | null | undefined;
  /** The other person of a direct conversation. */
  peer?: Author | null | undefined;
  member_count: number;
  role: MemberRole;
  history: History;
  announcements_only: boolean;
  slow_mode_s: number;
  /** The newest message that the caller may see. */
  last_message?: Message | null | undefined;
  /** Number of the newest message; 0 when there is none. */
  last_seq: number;
  /** Number of the newest change to a message that was there. */
  change_seq: number;
  /** Lowest number that the caller may see. */
  visible_from: number;
  /** Everything up to here was read by the caller. */
  read_seq: number;
  /** Messages above it. */
  unread_count: number;
  /** Unread messages that name the caller; counting stops at 100. */
  mention_count: number;
  /** The caller has not accepted it yet. */
  is_request: boolean;
  /** The caller left or was removed; only in lists by `changed_after`. */
  left?: boolean | undefined;
  /** The caller hid it: it is in no folder until something new comes. */
  hidden?: boolean | undefined;
  personal: Personal;
  created_at: Timestamp;
}

/** Page of conversations. */
export interface ConversationPage {
  items: Conversation[];
  next_cursor?: string | null | undefined;
  /** Value of `changed_after` for the next time. */
  changes_cursor: string;
}

/** Numbers for badges. */
export interface UnreadConversations {
  /** Conversations of the inbox with something unread; muted ones are not counted. */
  conversations: number;
  messages: number;
  mentions: number;
  requests: number;
}

/** A member of a conversation. */
export interface Member {
  user: Author;
  role: MemberRole;
  joined_at: Timestamp;
}

/** Progress of a member: two numbers that only rise. */
export interface Receipt {
  user_id: Id;
  delivered_seq: number;
  /** Everything up to here was read; 0 where one of the two does not share that. */
  read_seq: number;
}

/** Body of a new message. */
export interface NewMessage {
  /** Chosen by the client: the same one again within 7 days is the same message. */
  client_id: string;
  kind: MessageKind;
  text?: string | null | undefined;
  /** An upload of the caller for messages. */
  media_id?: Id | null | undefined;
  /** Milliseconds of a voice message. */
  duration_ms?: number | null | undefined;
  /** Number of the message that this one answers. */
  reply_to?: number | null | undefined;
  /** Message that this one passes on. */
  forward?: { conversation_id: Id; seq: number } | null | undefined;
}

/** The message that another one answers. */
export interface Quote {
  seq: number;
  sender_id?: Id | null | undefined;
  kind: MessageKind;
  /** The first 200 characters; empty when it was recalled. */
  text: string;
  recalled: boolean;
}

/** Reactions of one kind to a message. */
export interface Reaction {
  emoji: string;
  count: number;
  /** Up to eight of them, the latest last. */
  user_ids: Id[];
  /** The caller is among them. */
  mine?: boolean | undefined;
}

/** Somebody who reacted to a message. */
export interface Reactor {
  emoji: string;
  /** Without handle and name when the account is gone. */
  user: Author;
}

/** Answer to declining all requests. */
export interface RequestsDeclined {
  /** Requests and invitations that are declined now. */
  declined: number;
  /** Whether there are more: a call declines up to 1,000. */
  more: boolean;
}

/** Event that a system message tells of. */
export interface SystemEvent {
  kind: string;
  user_ids?: Id[] | undefined;
  title?: string | null | undefined;
  seq?: number | null | undefined;
}

/** Upload in a message; its addresses are good until `expires_at`. */
export type Attachment = Media & {
  /** Name that the file is saved under. */
  filename?: string | null | undefined;
  /** Milliseconds, of a voice message. */
  duration_ms?: number | null | undefined;
};

/** A message. */
export interface Message {
  id: Id;
  conversation_id: Id;
  /** Number in the conversation, without holes from 1. */
  seq: number;
  sender: Author;
  kind: MessageKind;
  /** Words; empty when it was recalled. */
  text: string;
  attachment?: Attachment | null | undefined;
  client_id: string;
  mentions?: Mention[] | undefined;
  /** Names everybody. */
  mentions_all?: boolean | undefined;
  links?: string[] | undefined;
  reply_to?: Quote | null | undefined;
  forwarded?: boolean | undefined;
  reactions?: Reaction[] | undefined;
  edited_at?: Timestamp | null | undefined;
  recalled: boolean;
  /** Person who took it back, where that was not the sender. */
  recalled_by?: Id | null | undefined;
  system?: SystemEvent | null | undefined;
  created_at: Timestamp;
}

/** Page of messages, without holes. */
export interface MessagePage {
  /** Newest first with `before_seq` and `around_seq`, oldest first with `after_seq`. */
  items: Message[];
  last_seq: number;
  /** Number of the newest change; what happened up to there is in the items. */
  change_seq: number;
  visible_from: number;
}

/** A change to a message that was there. */
export interface Change {
  change_seq: number;
  kind: string;
  /** Number of the message. */
  seq: number;
  /** The message as it is now; `null` when the caller may not see it. */
  message?: Message | null | undefined;
}

/** Page of changes, oldest first. */
export interface ChangePage {
  items: Change[];
  /** Number of the newest change of the conversation. */
  change_seq: number;
}

/** Words that a message had before an edit. */
export interface EarlierText {
  text: string;
  at: Timestamp;
}

/** Body of a new invite to a group. */
export interface NewInvite {
  /** Moment from which it is good no more; never without. */
  expires_at?: Timestamp | null | undefined;
  /** Joinings that it is good for; any number without. */
  max_uses?: number | null | undefined;
}

/** An invite to a group. */
export interface Invite {
  id: Id;
  /** Secret that lets in whoever has it; told once, when it is made. */
  token?: string | null | undefined;
  created_by: Id;
  expires_at?: Timestamp | null | undefined;
  max_uses?: number | null | undefined;
  uses: number;
  created_at: Timestamp;
}

/** A group as whoever has an invite sees it. */
export interface InviteLook {
  conversation_id: Id;
  title?: string | null | undefined;
  picture_url?: string | null | undefined;
  member_count: number;
  /** The caller is in it already. */
  joined: boolean;
}

/** A message that names the caller. */
export interface MentionedIn {
  message: Message;
  /** Whether the caller has read up to it. */
  read: boolean;
}

/** People of whom a person lets something come. */
export type WhoMay = "everybody" | "requests" | "followed" | "nobody";

/** People who see whether somebody is there, and when they were last. */
export type LastSeen = "everybody" | "followed" | "nobody";

/** Preferences of a person in chat. */
export interface ChatPreferences {
  who_may_message: WhoMay;
  who_may_add: WhoMay;
  /** Whether others see what the person has read, and the person what others have. */
  read_receipts: boolean;
  /** People who see whether the person is online, and when they were last; to others they are offline. */
  last_seen: LastSeen;
}

/** Changes to preferences: a field that is absent stays. */
export interface PatchChatPreferences {
  who_may_message?: WhoMay | null | undefined;
  who_may_add?: WhoMay | null | undefined;
  read_receipts?: boolean | null | undefined;
  last_seen?: LastSeen | null | undefined;
}

/** Frame `message`. */
export type KeyedMessage = Message & { key: string };

/** Frame `message.updated`. */
export interface MessageChanged {
  key: string;
  /** The last change of the conversation before those that this frame covers. */
  after: number;
  /** The last change that it covers. */
  change_seq: number;
  message: Message;
}

/** Frame `message.recalled`. */
export interface MessageRecalled {
  key: string;
  after: number;
  change_seq: number;
  conversation_id: Id;
  seq: number;
  /** The person who took it back, where that was not the sender. */
  recalled_by?: Id | null | undefined;
}

/** Frame `conversation.updated`: read it again. */
export interface ConversationUpdated {
  conversation_id: Id;
  /** The person is in it no more. */
  left?: boolean | undefined;
}

/** Frame `receipt`: progress of members; at most one a second and conversation. */
export interface ReceiptChanged {
  conversation_id: Id;
  /** Marks that have moved, as they stand now. */
  receipts: Receipt[];
}

/** Frame `typing`; gone after six seconds. */
export interface Typing {
  conversation_id: Id;
  user_id: Id;
}
