// The types of the API. Generated from the server's description of itself by scripts/types.mjs: do not edit.
// Values that a newer server may add to a list of words are part of its type: handle what you know, ignore the
// rest.

export type * from "./types/admin.js";
export type * from "./types/chat.js";
export type * from "./types/clicks.js";
export type * from "./types/common.js";
export type * from "./types/links.js";
export type * from "./types/live.js";
export type * from "./types/media.js";
export type * from "./types/notifications.js";
export type * from "./types/posts.js";
export type * from "./types/realtime.js";
export type * from "./types/reports.js";
export type * from "./types/users.js";
