// Types of the API: clicks. Generated from the server's description of itself by scripts/types.mjs: do not edit.

import type { Timestamp } from "./common.js";

/** Length of a point of a series. */
export type Interval = "minute" | "hour" | "day";

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
