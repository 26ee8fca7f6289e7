// Exports of the package.

export type { Once, Reasoned } from "./calls.js";
export * from "./client.js";
export type { Clock, Timer } from "./clock.js";
export { FanfareError, NetworkError, ProblemError, RealtimeError } from "./errors.js";
export { type CallOptions, Http, type HttpOptions, type RequestOptions, type TokenSource } from "./http.js";
export { LiveCalls, LiveWatch, type LiveWatchOptions } from "./live.js";
export { Links, type StatsQuery } from "./links.js";
export { Pages, type Paging } from "./paging.js";
export { isDropped } from "./realtime/dropped.js";
export type { Range } from "./realtime/fetchers.js";
export type { EventInfo, Events, Frame } from "./realtime/frames.js";
export { type RealtimeOptions, type StorageLike, TIMES, type Times } from "./realtime/options.js";
export { Realtime } from "./realtime/realtime.js";
export type { State } from "./realtime/state.js";
export type { SocketConstructor, SocketLike } from "./realtime/transports/websocket.js";
export type * from "./types.js";
