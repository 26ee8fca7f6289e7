// The list of conversations as a screen shows it: order, folders, numbers for badges. Pure.

import { newer } from "../realtime/frames.js";
import type { Conversation, UnreadConversations } from "./types.js";

/** Folder of the list. */
export type Folder = "inbox" | "archived" | "requests";

/** Every folder, the one that is shown first first. */
export const FOLDERS: readonly Folder[] = ["inbox", "requests", "archived"];

/** Newest message first. */
export function byNewest(a: Conversation, b: Conversation): number {
  const [x, y] = [a.last_message?.id ?? a.id, b.last_message?.id ?? b.id];
  return x === y ? 0 : newer(x, y) ? -1 : 1;
}

/** Pinned ones first, each part as it was. */
export function pinnedFirst(conversations: readonly Conversation[]): Conversation[] {
  return [...conversations].sort((a, b) => Number(b.personal.pinned ?? false) - Number(a.personal.pinned ?? false));
}

export function folderOf(conversation: Conversation): Folder {
  if (conversation.is_request) return "requests";
  return conversation.personal.archived ? "archived" : "inbox";
}

/** Whether it is silent at this moment, in milliseconds since 1970. */
export function isMuted({ personal }: Conversation, now: number): boolean {
  return personal.muted_until ? Date.parse(personal.muted_until) > now : false;
}

/** Numbers for badges, of these conversations. */
export function unreadOf(conversations: Iterable<Conversation>, now: number): UnreadConversations {
  const sum: UnreadConversations = { conversations: 0, messages: 0, mentions: 0, requests: 0 };
  for (const one of conversations) {
    const folder = folderOf(one);
    if (folder === "requests") sum.requests += 1;
    if (folder !== "inbox" || isMuted(one, now)) continue;
    sum.conversations += one.unread_count > 0 || one.personal.marked_unread ? 1 : 0;
    sum.messages += one.unread_count;
    sum.mentions += one.mention_count;
  }
  return sum;
}
