// Shared by the groups of calls: options, lists, parts of paths.

import type { CallOptions, Http, RequestOptions } from "./http.js";
import { Pages, type Paging } from "./paging.js";
import type { Page } from "./types.js";

/** Options of calls that create, besides their body. */
export interface Once extends CallOptions {
  /** Yours, to make a repetition of your own recognisable; made up when absent, for repetitions by the client. */
  idempotencyKey?: string | undefined;
}

/** Options of acts of operators. */
export interface Reasoned extends CallOptions {
  /** Why, for the audit: up to 500 characters. */
  reason?: string | undefined;
}

/** Lists of the API. */
export function list<T, P extends Page<T> = Page<T>>(
  http: Http,
  path: string,
  paging: Paging = {},
  query: RequestOptions["query"] = {},
): Pages<T, P> {
  const { limit, signal, timeoutMs } = paging;
  const ask = (cursor: string | null | undefined) =>
    http.json<P>("GET", path, { signal, timeoutMs, query: { ...query, limit, cursor } });
  return new Pages<T, P>(ask, paging.cursor);
}

/** A part of a path. A leading `@` is kept: handles are written with it. */
export function part(value: string): string {
  return encodeURIComponent(value).replace(/^%40/, "@");
}
