// Exports of `@fanfare/sdk/chat`.

export { Chat } from "./chat.js";
export type { ConversationsQuery, MessagesQuery } from "./calls.js";
export type { KeptConversation } from "./conversation.js";
export { progress } from "./derive.js";
export { indexedDb } from "./indexeddb.js";
export { byNewest, type Folder, folderOf, isMuted, pinnedFirst, unreadOf } from "./list.js";
export type { Line } from "./lines.js";
export type { ChatOptions, Draft } from "./options.js";
export type { Outgoing } from "./outbox.js";
export { type ChatStorage, type KeptChanges, type KeptChat, MemoryStorage, type OpenStorage } from "./storage.js";
export type * from "./types.js";
export type { KeptWindow } from "./window.js";
