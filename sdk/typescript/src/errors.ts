// Errors, as types that can be told apart: an answer that refuses, no answer at all, realtime that stopped.

import type { Code, Problem } from "./types.js";

/** Everything that this package throws. */
export class FanfareError extends Error {
  override name = "FanfareError";
}

/** The server answered, and refused: RFC 9457. */
export class ProblemError extends FanfareError {
  override name = "ProblemError";
  /** Problem that the server told; made up from the status when something between answered without a problem. */
  readonly problem: Problem;
  /** HTTP status. */
  readonly status: number;
  /** Machine-readable reason; tolerate ones that you do not know. */
  readonly code: Code;
  /** Names the request in the server's log. */
  readonly requestId: string | null;
  /** Milliseconds after which to ask again, when the server said so. */
  readonly retryAfterMs: number | null;

  constructor(problem: Problem, requestId: string | null = null, retryAfterMs: number | null = null) {
    super(`${problem.status} ${problem.title}: ${problem.detail}`);
    this.problem = problem;
    this.status = problem.status;
    this.code = problem.code;
    this.requestId = requestId;
    this.retryAfterMs = retryAfterMs;
  }

  /** Fault of a field of the request, for `validation_failed`. */
  field(name: string): string | undefined {
    return this.problem.errors?.find((error) => error.field === name)?.message;
  }
}

/** No answer came: no network, no server, it took too long, or a browser kept it from a page of another origin (CORS). */
export class NetworkError extends FanfareError {
  override name = "NetworkError";

  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
  }
}

/** Realtime gave up for good; `code` is the close code that stands for the reason. */
export class RealtimeError extends FanfareError {
  override name = "RealtimeError";
  /** 4400 the server did not understand this client, 4401 no valid token, 4403 this page's origin may not connect, or the account is suspended. */
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Advice for when a page gets no answer from a server of another origin: browsers hide from scripts whether it is
 * down or only does not let the page call it. Empty where that cannot be the reason.
 */
export function crossOriginHint(baseUrl: string): string {
  const page = (globalThis as { location?: { origin?: string } }).location?.origin;
  if (!page) return "";
  if (page === "null") return `. This page has no origin, as when it was opened from a file: serve it over http`;
  const server = new URL(baseUrl, page).origin;
  if (server === page) return "";
  const setting = `http.cors_origins = [${JSON.stringify(page)}]`;
  return `. If ${server} is up, it does not let pages of ${page} call it (CORS): its operator allows that by ${setting}`;
}

/** Reads the problem of a refused answer. */
export async function problemOf(response: Response): Promise<ProblemError> {
  const requestId = response.headers.get("x-request-id");
  const retryAfterMs = retryAfter(response.headers.get("retry-after"));
  let problem: Problem | null = null;
  try {
    const type = response.headers.get("content-type") ?? "";
    const body: unknown = type.includes("json") ? await response.json() : await response.text();
    if (isProblem(body)) problem = body;
  } catch {
    // The status alone says enough.
  }
  return new ProblemError(problem ?? madeUp(response.status), requestId, retryAfterMs);
}

/** Whether a value is a problem object. */
export function isProblem(value: unknown): value is Problem {
  return typeof value === "object" && value !== null && "code" in value && "status" in value && "title" in value;
}

/** `Retry-After` in milliseconds: seconds or a date. */
export function retryAfter(header: string | null, now: number = Date.now()): number | null {
  if (header === null || header.trim() === "") return null;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - now;
  return Number.isFinite(ms) ? Math.max(0, ms) : null;
}

function madeUp(status: number): Problem {
  const code: Code = status === 401 ? "unauthenticated" : status === 429 ? "rate_limited" : "unknown";
  return { type: "about:blank", title: "Refused", status, detail: "the answer was no problem document", code };
}
