// Short links as typed calls. Each throws ProblemError or NetworkError.

import { type Once, list, part } from "./calls.js";
import type { CallOptions, Http } from "./http.js";
import type { Pages, Paging } from "./paging.js";
import { randomKey } from "./random.js";
import type { Link, LinkStats, NewLink, PatchLink, Timestamp } from "./types.js";

/** Time that numbers are asked for; what is absent is the server's choice. */
export interface StatsQuery {
  /** First moment. */
  from?: Timestamp | undefined;
  /** Moment up to which is counted, itself left out. */
  to?: Timestamp | undefined;
  /** Length of a point; `day` when absent. */
  interval?: "minute" | "hour" | "day" | undefined;
  /** Whether programs count in the series and the lists. */
  bots?: "include" | "exclude" | undefined;
}

/** Short links of the caller. */
export class Links {
  constructor(private readonly http: Http) {}

  /** Made once, however often the network makes the client try. */
  create(link: NewLink, once: Once = {}): Promise<Link> {
    const idempotencyKey = once.idempotencyKey ?? randomKey();
    return this.http.json("POST", "/v1/links", { ...once, body: link, idempotencyKey });
  }

  /** Newest first. */
  list(paging?: Paging): Pages<Link> {
    return list(this.http, "/v1/links", paging);
  }

  get(code: string, call?: CallOptions): Promise<Link> {
    return this.http.json("GET", `/v1/links/${part(code)}`, call);
  }

  /** Code and numbers stay; a field that is `null` is cleared. */
  update(code: string, patch: PatchLink, call?: CallOptions): Promise<Link> {
    return this.http.json("PATCH", `/v1/links/${part(code)}`, { ...call, body: patch });
  }

  /** The code leads nowhere from now on, and is never given out again. */
  delete(code: string, call?: CallOptions): Promise<void> {
    return this.http.json("DELETE", `/v1/links/${part(code)}`, call);
  }

  /** The short address as a QR code, an SVG. */
  qr(code: string, call?: CallOptions): Promise<string> {
    return this.http.text("GET", `/v1/links/${part(code)}/qr.svg`, call);
  }

  /** All links as CSV, newest first. */
  csv(call?: CallOptions): Promise<string> {
    return this.http.text("GET", "/v1/links.csv", call);
  }

  /** Numbers of the link: who followed it, when, and where from. */
  stats(code: string, query: StatsQuery = {}, call?: CallOptions): Promise<LinkStats> {
    return this.http.json("GET", `/v1/links/${part(code)}/stats`, { ...call, query: { ...query } });
  }

  /** Numbers of the link as CSV. */
  statsCsv(code: string, query: StatsQuery = {}, call?: CallOptions): Promise<string> {
    return this.http.text("GET", `/v1/links/${part(code)}/stats.csv`, { ...call, query: { ...query } });
  }
}
