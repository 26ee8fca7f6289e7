// The types of the API. Generated from the server's description of itself by scripts/types.mjs: do not edit.
// Values that a newer server may add to a list of words are part of its type: handle what you know, ignore the rest.

/** A page of a list that is read by cursor; shorter than its limit only when it is the last. */
export interface Page<T> {
  /** The items, in the order the call documents. */
  items: T[];
  /** Cursor of the next page; `null` on the last one. */
  next_cursor?: string | null | undefined;
}

/** A link as operators see it. */
export type AdminLink = Link & {
  /** Whether the list of blocked hosts and codes names it. */
  blocked: boolean;
  /** Person who made it. */
  owner: Id;
};

/** Upload in a message. */
export type Attachment = Media & {
  /** Milliseconds, of a voice message. */
  duration_ms?: number | null | undefined;
  /** Name that the file is saved under. */
  filename?: string | null | undefined;
};

/** Act of an operator. It stands in the same record as what was done, and is kept for 400 days. */
export interface AuditEntry {
  /**
   * Kind of act: `post.delete`, `link.delete`, `user.suspend`, `user.unsuspend`, `user.password`,
   * `user.grant_admin`, `user.revoke_admin`, `report.resolve`, `settings.change`, `session.close`, `event.publish`; more may come.
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
   * Target of the act: `posts/ID`, `links/CODE`, `users/ID`, `sessions/ID`, `reports/ID`, `settings KEY=VALUE …`,
   * `events/TYPE to …`.
   */
  target: string;
}

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

/** `author.deleted`: the account of somebody whom the person followed is gone; everything of them is to be dropped. */
export interface AuthorDeleted {
  /** The deletion's own. */
  key: string;
  /** Person whose account it was. */
  user_id: Id;
}

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
  /** Whether others see what the person has read, and the person what others have. */
  read_receipts: boolean;
  /** People who may add the person to groups. */
  who_may_add: WhoMay;
  /** People who may begin a direct conversation with the person. */
  who_may_message: WhoMay;
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

/** A frame of a client; answered by a `Reply` with the same `ref`. */
export interface ClientFrame {
  /** Content, shaped by the type. */
  data?: unknown;
  /** Chosen by the client, up to 2^53 - 1. */
  ref: number;
  /** `ping`, `feed.read`, `presence.watch`, `message.send`, `read`, `delivered`, `typing`. */
  type: string;
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

/** A conversation as one member sees it. */
export interface Conversation {
  /** Only admins write. */
  announcements_only: boolean;
  /** Number of the newest change to a message that was there; 0 when there is none. */
  change_seq: number;
  /** Moment it was made. */
  created_at: Timestamp;
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

/** An author whose fan-out costs much. */
export interface CostlyAuthor {
  /** Materialised followers × posts a second. */
  deliveries_per_s: number;
  /** The author. */
  user_id: Id;
}

/** `drain`: the server stops; come back later. */
export interface Drain {
  /** Milliseconds to wait before connecting again; different for every session. */
  reconnect_after_ms: number;
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

/** `POST /v1/live/{id}/end`. */
export interface EndLiveSession {
  /** Address of the recording, if there is one already. */
  replay_url?: string | null | undefined;
}

/** `feed.posts`: new posts of the home feed. */
export interface FeedPosts {
  /** Newest first. */
  items: KeyedPost[];
}

/** `PUT /v1/feed/read`. */
export interface FeedRead {
  /** Everything up to this id has been seen; a smaller one than before changes nothing. */
  last_read_id: Id;
}

/** Field of the request that was refused. */
export interface FieldError {
  /** Path of the field, such as `text` or `media_ids[2]`; for query parameters their name, such as `limit`. */
  field: string;
  /** Fault of the field, and what would be right. */
  message: string;
}

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

/** A message of any conversation that the caller can see. */
export interface Forward {
  /** Conversation of the message. */
  conversation_id: Id;
  /** Number of the message there. */
  seq: number;
}

/** `gap`: items of a stream that were not sent; page them over HTTP. */
export interface Gap {
  /** Everything up to this id was sent. */
  after: Id;
  /** Id at which what comes next starts. */
  before: Id;
  /** Number of items between; counting stops at 1,000. */
  count: number;
  /** The stream. */
  stream: Stream;
}

/**
 * A place in a thread whose post does not show, while the thread goes on beyond it. One of `deleted` and `hidden` is
 * there, and true.
 */
export interface Gone {
  /** Deleted by the author, or with the author's account. */
  deleted?: boolean | undefined;
  /** The caller may not see it. */
  hidden?: boolean | undefined;
  /** The post. */
  id: Id;
}

/** The answer of `/healthz` and `/readyz`. */
export interface Health {
  /** `ok`. */
  status: string;
}

/** The first frame of every session. */
export interface Hello {
  /** Cursor to resume from when the connection is lost before the first frame with an `id`. */
  cursor: string;
  /** Seconds between two signs of life of the server. */
  heartbeat_s: number;
  /** Whether what was missed since the cursor follows; `false` without a cursor, or with one that cannot be used. */
  resumed: boolean;
  /** Names the session for operators and for `POST /v1/realtime/send`. */
  session_id: Id;
  /** Transport of the session. */
  transport: Transport;
}

/** Part of a group's history that a new member sees. */
export type History = "from_join" | "all";

/** Snowflake id as a decimal string; ids order by time of creation */
export type Id = string;

/** Length of a point of a series. */
export type Interval = "minute" | "hour" | "day";

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

/** Consumer of the journal that holds more of it than `storage.journal_bytes_max`. */
export interface JournalHolder {
  /** Bytes of the journal that wait for it. */
  bytes: number;
  /** Name of the consumer. */
  consumer: string;
  /** Number of the journal's partition. */
  partition: number;
}

/** `notification`: as in `GET /v1/notifications`. */
export type KeyedNotification = Notification & {
  /** The notification's id. */
  key: string;
};

/** A post in a frame: without what differs from viewer to viewer (`liked`, `reposted` read as `false`). */
export type KeyedPost = Post & {
  /** Key, equal in push, replay and HTTP: the post's id. */
  key: string;
};

/** Lane: priority of a frame when not everything can go at once. */
export type Lane = "urgent" | "normal" | "bulk";

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

/** Clicks of a link within a time. */
export interface LinkStats {
  /** Bots' redirects among them. */
  bots: number;
  /** Browsers. */
  browsers: StatsName[];
  /** Cities. */
  cities: StatsName[];
  /** Countries, in two letters. */
  countries: StatsName[];
  /** Kinds of device: desktop, mobile, tablet, other, bot. */
  devices: StatsName[];
  /** First moment that is counted: the beginning of the first point. */
  from: Timestamp;
  /** Length of a point. */
  interval: Interval;
  /** Languages. */
  languages: StatsName[];
  /** Hosts of the pages that the link was followed from, over the whole UTC days that the time touches. */
  referrers: StatsName[];
  /** Clicks in each interval, the empty ones too. */
  series: StatsPoint[];
  /** Operating systems. */
  systems: StatsName[];
  /** Moment up to which is counted: the end of the last point. */
  to: Timestamp;
  /** Every redirect that was answered, bots' too. */
  total: number;
  /** Visitors, an estimate (about 1.6 %, exact when few). Over several days it is the sum of the days: visitor-days. */
  unique: number;
}

/** Body of `live.changed`: the session as it is now, whoever reads it. */
export type LiveChanged = LiveSession & {
  /** Whether it was cancelled, or its replay removed: it is in no list any more. */
  removed?: boolean | undefined;
  /** Number of the change: of two about one session the higher is the newer one. */
  version: Id;
};

/** A live session. On a page it is as it was when the first page of the pass was made. */
export interface LiveSession {
  /** Moment it was over. */
  ended_at?: Timestamp | null | undefined;
  /** Person who holds it. */
  host: Author;
  /** The session. */
  id: Id;
  /** Whether the caller is to be reminded at the start; absent without a token, and in frames. */
  reminder?: boolean | null | undefined;
  /** Address of the recording. */
  replay_url?: string | null | undefined;
  /** Moment it began. */
  started_at?: Timestamp | null | undefined;
  /** Planned start. */
  starts_at: Timestamp;
  /** Whether it is to come, on, or over. */
  state: LiveState;
  /** Words that say what it is about. */
  title: string;
}

/** State of a live session. */
export type LiveState = "upcoming" | "live" | "replay" | (string & {});

/** Uploaded file. */
export interface Media {
  /** Alternative text: what the picture shows, in words. */
  alt?: string | null | undefined;
  /** Size as served. */
  bytes: number;
  /** Found from the bytes, not from what the client said. */
  content_type: string;
  /**
   * Moment from which the addresses of an upload for messages are good no more: whoever sees the message reads it
   * again for fresh ones.
   */
  expires_at?: Timestamp | null | undefined;
  /** Pixels, for images. */
  height?: number | null | undefined;
  /** The upload. */
  id: Id;
  /** Picture or file. */
  kind: MediaKind;
  /**
   * A sentence for the uploader, where there is something to say: a file of a type whose metadata cannot be removed
   * is stored as it came.
   */
  notice?: string | null | undefined;
  /** A small picture, for images. */
  thumbnail_url?: string | null | undefined;
  /** Address that it is served under. That of an upload for messages is signed, and good until `expires_at`. */
  url: string;
  /** Pixels, for images. */
  width?: number | null | undefined;
}

/** Whether the media can be shown as a picture. */
export type MediaKind = "image" | "file";

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

/** A person named in a text by `@handle`. */
export interface Mention {
  /** The handle as it was when the post was made. */
  handle: string;
  /** The person. */
  id: Id;
}

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

/** Several frames. */
export interface NamedFrames {
  /** Up to 50. */
  frames: ClientFrame[];
}

/** Replies to several frames. */
export interface NamedReplies {
  /** In the order of the frames. */
  replies: Reply[];
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

/** `POST /v1/live`. */
export interface NewLiveSession {
  /** Planned start: at most a minute ago, within a year. */
  starts_at: Timestamp;
  /** 1 to 140 characters. */
  title: string;
}

/** The parts of an upload. */
export interface NewMedia {
  /** Alternative text: what the picture shows, up to 1,500 characters. */
  alt?: string | undefined;
  /** The picture or file. */
  file: Blob;
  /** Purpose of an upload that is not for everybody: `message` for one that stands in messages alone. */
  purpose?: "message" | null | undefined;
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

/** `PUT /v1/users/me/password`. Ends every session but the caller's. */
export interface NewPassword {
  /** The password as it is. */
  current_password: string;
  /** 8 to 128 characters. */
  new_password: string;
}

/** `POST /v1/posts`. */
export interface NewPost {
  /** Up to 4 uploads of the caller. */
  media_ids?: Id[] | undefined;
  /** The post to answer. */
  reply_to?: Id | null | undefined;
  /** The post to pass on; with text it is a quote. */
  repost_of?: Id | null | undefined;
  /** Up to `posts.text_max` characters (500); may be empty with media or `repost_of`. */
  text?: string | undefined;
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

/** `PUT /v1/admin/users/{user}/role`. */
export interface NewRole {
  /** The role. */
  role: RoleName;
}

/** `POST /v1/sessions`. */
export interface NewSession {
  /** The handle, with or without `@`. */
  handle: string;
  /** The password. */
  password: string;
}

/** `PUT /v1/admin/users/{user}/suspension`. */
export interface NewSuspension {
  /** Why, for other operators: 1 to 500 characters. The person is not told. */
  reason: string;
  /** End of the suspension; without one it stands until it is lifted. */
  until?: Timestamp | null | undefined;
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

/** Notification; a flood of the same kind on the same post is one with a `count`. */
export interface Notification {
  /** Person who did it; of many, the latest whom the caller may see. */
  actor: Author;
  /** Number of people it stands for, of mentions number of posts; 1 unless grouped. */
  count: number;
  /** Moment of the newest event. */
  created_at: Timestamp;
  /** The notification; the id of its newest event. */
  id: Id;
  /** Kind of event that a notification tells of. */
  kind: NotificationKind;
  /** The caller's post for likes, the new post for replies, mentions and reposts. */
  post?: Post | null | undefined;
  /** Whether it is at or below the read marker. */
  read: boolean;
}

/** Kind of event that a notification tells of. */
export type NotificationKind =
  | "follow"
  | "like"
  | "reply"
  | "repost"
  | "mention"
  | "message"
  | "live"
  | (string & {});

/** `GET /v1/notifications`, newest first. */
export interface NotificationPage {
  /** Newest first. */
  items: Notification[];
  /** Cursor of the next page; `null` on the last. */
  next_cursor?: string | null | undefined;
  /** Notifications above the read marker. */
  unread_count: number;
}

/** `PUT /v1/notifications/read`. */
export interface NotificationsRead {
  /** Everything up to this id has been seen; a smaller one than before changes nothing. */
  last_read_id: Id;
}

/** Notifications that are still unread. */
export interface NotificationsUnread {
  /** Above the read marker. */
  unread_count: number;
}

/** Messages of a conversation that a person wants to hear of. */
export type Notify = "all" | "mentions" | "nothing";

/** `PATCH /v1/users/me/chat`: a field that is absent stays. */
export interface PatchChatPreferences {
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

/** `PATCH /v1/live/{id}`, a JSON merge patch: a field that is absent stays. */
export interface PatchLiveSession {
  /** Address of the recording, once it is over; `null` takes it away. */
  replay_url?: string | null | undefined;
  /** New planned start, while it is upcoming; at most 20 times. */
  starts_at?: Timestamp | null | undefined;
  /** 1 to 140 characters. */
  title?: string | null | undefined;
}

/** `PUT /v1/conversations/{id}/personal`: a field that is absent stays. */
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

/** Changes of settings while the server runs; what is absent stays. A restart reads the configuration again. */
export interface PatchSettings {
  /** Authors with more followers are pulled. */
  "feed.pull_above"?: number | null | undefined;
  /** Authors with fewer followers are pushed at once. */
  "feed.push_below"?: number | null | undefined;
  /** `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,fanfare=debug`. */
  "log.level"?: string | null | undefined;
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

/** `GET /v1/realtime/poll`. */
export interface PollAnswer {
  /** Cursor for the next poll, or another transport. */
  cursor: string;
  /** Frames, in the order in which a socket would bring them. */
  events: ServerFrame[];
}

/** `pong`: the answer to a `ping`, beside its reply. */
export interface Pong {
  /** The ping's. */
  ref: number;
}

/** A post, a reply or a repost. */
export interface Post {
  /** Author of the post. */
  author: Author;
  /** Moment of publication. */
  created_at: Timestamp;
  /** The post. */
  id: Id;
  /** People who like it. */
  like_count: number;
  /** The caller likes it. Not in realtime frames. */
  liked?: boolean | undefined;
  /** `http` and `https` addresses found in the text. */
  links: string[];
  /** Attached uploads. */
  media: Media[];
  /** People named in the text who exist. */
  mentions: Mention[];
  /** Replies that are not deleted. */
  reply_count: number;
  /** The post this one answers. */
  reply_to?: Id | null | undefined;
  /** Reposts that are not deleted. */
  repost_count: number;
  /** Only where true: this is a quote whose original was deleted, so that `repost_of` is `null`. */
  repost_gone?: boolean | undefined;
  /** Only where true: this is a quote whose original the caller may not see, so that `repost_of` is `null`. */
  repost_hidden?: boolean | undefined;
  /** The post this one passes on; what that one passes on in turn is not shown. */
  repost_of?: Post | null | undefined;
  /** The caller has a bare repost of it. Not in realtime frames. */
  reposted?: boolean | undefined;
  /** May be empty with media or `repost_of`. */
  text: string;
}

/** `post.deleted`: a post of somebody whom the person follows is gone. */
export interface PostDeleted {
  /** Author of the post. */
  author_id: Id;
  /** The post. */
  id: Id;
  /** The deletion's own. */
  key: string;
}

/** A place in a thread: the post, or a word that it is gone. A `Gone` has no `author`. */
export type PostOrGone = Post | Gone;

/** `GET /v1/posts/{id}/thread`. */
export interface PostThread {
  /** Posts that this one answers, oldest first; the thread goes on above a post that is gone. */
  ancestors: PostOrGone[];
  /** Cursor for `/replies` when there are more. */
  next_cursor?: string | null | undefined;
  /** The post asked for; the original, for a bare repost. */
  post: Post;
  /** First replies, oldest first; more under `/replies`. */
  replies: PostOrGone[];
}

/** `presence`, and an item of `GET /v1/presence`. */
export interface Presence {
  /** Last sign of life; `null` when this server never had one, or the caller may not know. */
  last_seen_at?: Timestamp | null | undefined;
  /** Connected, or heard of within the offline time. */
  online: boolean;
  /** Person whose presence it is. */
  user_id: Id;
}

/** Several people's presence. */
export interface PresenceList {
  /** In the order asked for. */
  items: Presence[];
}

/** Data of `presence.watch`. */
export interface PresenceWatch {
  /** Up to 200 people; they take the place of those watched before. */
  user_ids: Id[];
}

/** An RFC 9457 problem. */
export interface Problem {
  /** Machine-readable reason. */
  code: Code;
  /** Explanation of this occurrence, and what to do. */
  detail: string;
  /** The refused fields, for `validation_failed`. */
  errors?: FieldError[] | undefined;
  /** HTTP status. */
  status: number;
  /** Title of the code, equal for every occurrence. */
  title: string;
  /** URI reference that names the kind of problem. */
  type: string;
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
  /** The caller is among them. Not in realtime frames. */
  mine?: boolean | undefined;
  /** Up to eight of them, the latest last. */
  user_ids: Id[];
}

/** `feed.read` and `notifications.read`: a read marker moved on one of the person's devices. */
export interface ReadMarker {
  /** Everything up to this id has been seen. */
  last_read_id: Id;
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

/** Marks of a member: two numbers that only rise. */
export interface Receipt {
  /** Everything up to here has reached one of their devices. */
  delivered_seq: number;
  /** Everything up to here was read; 0 where one of the two does not share that. */
  read_seq: number;
  /** The member. */
  user_id: Id;
}

/** 302 asks at each visit; 301 lets browsers remember it for an hour */
export type RedirectKind = 302 | 301;

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

/** Replies to client frames, in the form in which the frames came. */
export type Replies = Reply[] | NamedReplies | Reply;

/** `reply`: what became of a client's frame. */
export interface Reply {
  /** Answer of a request that was done. */
  data?: unknown;
  /** Why not, when it was not. */
  error?: Problem | null | undefined;
  /** Whether it was done. */
  ok: boolean;
  /** The frame's; `null` when what came was no frame. */
  ref?: number | null | undefined;
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

/** `reset`: forget what was seen of these streams and read them over HTTP. */
export interface Reset {
  /** Why. */
  reason: ResetReason;
  /** Streams that start afresh. */
  streams: Stream[];
}

/** Why streams must be read anew. */
export type ResetReason =
  | "foreign"
  | "malformed"
  | "expired"
  | "slow"
  | "overflow"
  | "author_deleted"
  | (string & {});

/** End of a report. */
export interface Resolution {
  /** Moment of it. */
  at: Timestamp;
  /** Operator: `admin.token`, or the id of a person whose role is admin. */
  by: string;
  /** What was done, or why nothing was. */
  note: string;
}

/** `PUT /v1/admin/reports/{id}/resolution`. */
export interface ResolveReport {
  /** What was done, or why nothing was: 1 to 500 characters. */
  note: string;
}

/** `PATCH /v1/conversations/{id}/members/{user_id}`. */
export interface RoleChange {
  /** The new role; `owner` hands the group over, and the caller becomes an admin. */
  role: MemberRole;
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

/** Frames of a client that has no socket to send them by. */
export type Sent = ClientFrame[] | NamedFrames | ClientFrame;

/** An upload as it is served. */
export type Served = Blob;

/** A frame of the server as it stands on the wire; `ServerFrame::event` reads what it says. */
export interface ServerFrame {
  /** Moment the item was made. */
  at?: Timestamp | null | undefined;
  /** Content, shaped by the type. */
  data?: unknown;
  /** Of a `reply`: why not. */
  error?: Problem | null | undefined;
  /** The cursor after this frame; only frames of durable streams have one. */
  id?: string | null | undefined;
  /** The lane that it came by. */
  lane?: Lane | null | undefined;
  /** Of a `reply`: whether it was done. */
  ok?: boolean | null | undefined;
  /** Of a `reply`: the client's `ref`. */
  ref?: number | null | undefined;
  /** `hello`, `feed.posts` …; clients must tolerate types that they do not know. */
  type: string;
}

/** Answer of registration and of login. */
export interface Session {
  /** Bearer token; shown this once. */
  token: string;
  /** Person who is logged in. */
  user: User;
}

/** `PUT /v1/admin/users/{user}/password`. */
export interface SetPassword {
  /** 8 to 128 characters. */
  password: string;
}

/** Name in a list, the most frequent first; `unknown` is what is not known, `other` what is beyond the list's bound. */
export interface StatsName {
  /** Clicks of it. */
  count: number;
  /** The name. */
  name: string;
}

/** Point of a series. */
export interface StatsPoint {
  /** Beginning of the interval. */
  at: Timestamp;
  /** Clicks in it. */
  count: number;
}

/** The server at this moment. */
export interface Status {
  /** Clicks on short links. */
  clicks: ClickStatus;
  /** The dearest authors, dearest first. */
  costly_authors: CostlyAuthor[];
  /** Timeline entries written since the start, by policy: push, push_late, pull. */
  deliveries_by_policy: number[];
  /** Ordinary fan-out jobs that wait. */
  fan_out_queue: number;
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

/** Stream: items in one order, in which a session resumes. */
export type Stream = "notifications" | "direct" | "group" | "posts";

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

/** `POST /v1/realtime/tickets`: lets a connection in where headers cannot be set. */
export interface Ticket {
  /** Sixty seconds from now. */
  expires_at: Timestamp;
  /** Ticket for `?ticket=`; good once. */
  ticket: string;
}

/** RFC 3339, UTC, milliseconds */
export type Timestamp = string;

/** Transport of a session. */
export type Transport = "websocket" | "sse" | "long_poll" | "short_poll";

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

/** `GET /v1/feed/unread`. */
export interface UnreadCount {
  /** Number of others' entries newer than the read marker; counting stops at 1,000. */
  count: number;
  /** The newest entry of the feed, if there is one. */
  newest_id?: Id | null | undefined;
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

/** Data of `read` and `delivered`, and, without the conversation, body of the calls of these names. */
export interface Watermark {
  /** The conversation; in a call it stands in the address. */
  conversation_id?: Id | null | undefined;
  /** Everything up to here; a lower one than before changes nothing. */
  seq: number;
}

/** People who may do something. */
export type WhoMay = "everybody" | "requests" | "followed" | "nobody";
