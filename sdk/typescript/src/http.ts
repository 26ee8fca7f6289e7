// Requests: the token, the problem, the second try. Everything that asks over HTTP goes through here.

import { type Clock, sleep, systemClock } from "./clock.js";
import { crossOriginHint, NetworkError, ProblemError, problemOf } from "./errors.js";
import { Tokens, type TokenChange, type TokenSource } from "./tokens.js";

export type { TokenSource } from "./tokens.js";

/** Tries after the first, for requests that may be repeated. */
export const RETRIES_DEFAULT = 2;
/** Milliseconds for one try. */
export const TIMEOUT_MS_DEFAULT = 35_000;
/** Longest `Retry-After` that is waited for; longer ones are thrown, and the caller decides. */
export const RETRY_AFTER_MS_MAX = 10_000;
/** Milliseconds before the first repetition; doubled each time, with jitter. */
const RETRY_MS = 300;
/** Methods whose repetition changes nothing. */
const IDEMPOTENT = new Set(["GET", "PUT", "DELETE"]);
/** Statuses of a server, or something before it, that is busy or does not know what became of the request. */
const AGAIN = [429, 502, 503, 504];
/** Statuses after which the request may have been done. */
const UNKNOWN = [502, 503, 504];

/** Options of requests over HTTP. */
export interface HttpOptions {
  /** Address of Fanfare, such as `https://social.example`; a page's own origin when absent. */
  baseUrl?: string | undefined;
  /** The token of a session, or a JWT of your own backend. */
  token?: TokenSource | undefined;
  /**
   * Called once when the server refuses the token (401), with the refused one. Answer a new one to try again, or `null`
   * to let the refusal through. Requests that are refused at the same time share one call.
   */
  renewToken?: ((refused: string | null) => string | null | Promise<string | null>) | undefined;
  /** Instead of the global one. */
  fetch?: typeof globalThis.fetch | undefined;
  /** Tries after the first; 2 when absent. */
  retries?: number | undefined;
  /** Milliseconds for one try; 35,000 when absent. */
  timeoutMs?: number | undefined;
  /** For tests. */
  clock?: Clock | undefined;
}

/** Options of every call: its last argument, or beside its other choices. */
export interface CallOptions {
  /** Takes the call back: it rejects with the signal's reason. */
  signal?: AbortSignal | null | undefined;
  /** Milliseconds for one try, other than the client's. */
  timeoutMs?: number | undefined;
}

/** Parts of a request besides method and path. */
export interface RequestOptions extends CallOptions {
  /** Parameters; those that are null or undefined are left out. */
  query?: Record<string, string | number | boolean | null | undefined> | undefined;
  /** JSON, or a form. */
  body?: unknown;
  /** Makes a POST repeatable. */
  idempotencyKey?: string | undefined;
  /** A POST that may be repeated as it is. */
  repeatable?: boolean | undefined;
  /** Goes without the token, whoever is logged in, and never asks for a new one. */
  anonymous?: boolean | undefined;
  /** Number of retries, if other than the client's. */
  retries?: number | undefined;
  /** Further headers. */
  headers?: Record<string, string> | undefined;
}

/** Requests with a token. */
export class Http {
  readonly baseUrl: string;
  readonly clock: Clock;
  /** The token, and who hears when it becomes another. */
  readonly tokens: Tokens;
  readonly #options: HttpOptions;
  /** Functions that let go of the signal of a request whose answer is still being read. */
  readonly #holds = new WeakMap<Response, () => void>();

  constructor(options: HttpOptions) {
    const base = options.baseUrl ?? (globalThis as { location?: Location }).location?.origin;
    if (!base) throw new TypeError("baseUrl is needed where there is no page");
    this.baseUrl = base.replace(/\/+$/, "");
    this.clock = options.clock ?? systemClock;
    this.tokens = new Tokens(options.token ?? null, options.renewToken);
    this.#options = options;
  }

  /** Whether requests may carry credentials that this client does not see. */
  get fetchesItself(): boolean {
    return this.#options.fetch !== undefined;
  }

  /** The token of the next request. */
  token(): Promise<string | null> {
    return this.tokens.current();
  }

  /** Takes another token from now on; `null` goes on without one. `whose` is the id of the person, for a log-in. */
  setToken(token: TokenSource, whose?: string): void {
    this.tokens.set(token, whose);
  }

  /** Hears of every `setToken`. Answers how to stop. */
  onToken(listener: (change: TokenChange) => void): () => void {
    return this.tokens.listen(listener);
  }

  /** Asks `renewToken` for a token in place of `refused`; `null` when there is none to be had. */
  renew(refused: string | null): Promise<string | null> {
    return this.tokens.renew(refused);
  }

  /** The address of a path, with parameters. */
  url(path: string, query: RequestOptions["query"] = {}): string {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      if (value !== null && value !== undefined) parameters.set(name, String(value));
    }
    const text = parameters.toString();
    return `${this.baseUrl}${path}${text ? `?${text}` : ""}`;
  }

  /** Asks and reads the answer's JSON; `undefined` for an answer without a body. */
  async json<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const response = await this.send(method, path, options);
    if (response.status === 204) return undefined as T;
    try {
      return (await response.json()) as T;
    } catch (error) {
      options.signal?.throwIfAborted();
      throw new NetworkError(`${method} ${path}: the answer broke off`, error);
    } finally {
      this.#holds.get(response)?.();
    }
  }

  /** Asks and reads the answer's text. */
  async text(method: string, path: string, options: RequestOptions = {}): Promise<string> {
    const response = await this.send(method, path, options);
    try {
      return await response.text();
    } catch (error) {
      options.signal?.throwIfAborted();
      throw new NetworkError(`${method} ${path}: the answer broke off`, error);
    } finally {
      this.#holds.get(response)?.();
    }
  }

  /**
   * Asks; repeats what may be repeated, after what the server says or a growing pause; renews a refused token once.
   * Throws [ProblemError] or [NetworkError], or the reason of the caller's signal.
   */
  async send(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
    const repeatable = options.repeatable || IDEMPOTENT.has(method) || options.idempotencyKey !== undefined;
    const retries = repeatable ? (options.retries ?? this.#options.retries ?? RETRIES_DEFAULT) : 0;
    let renewed = false;
    // An earlier try may have done it: what it answered is lost.
    let perhapsDone = false;
    for (let tries = 0; ; tries += 1) {
      options.signal?.throwIfAborted();
      const token = options.anonymous ? null : await this.token();
      try {
        return await this.once(method, path, token, options);
      } catch (error) {
        options.signal?.throwIfAborted();
        if (perhapsDone && method === "DELETE" && isGone(error)) return new Response(null, { status: 204 });
        const refused = isTokenRefused(error) && !options.anonymous;
        if (refused && !renewed && (await this.renew(token)) !== null) {
          renewed = true;
          continue;
        }
        const atWork = perhapsDone && options.idempotencyKey !== undefined && isConflict(error);
        const pause = tries < retries ? this.#pause(error, tries, atWork) : null;
        if (pause === null) throw error;
        perhapsDone ||= isUnknown(error);
        await sleep(this.clock, pause, options.signal);
      }
    }
  }

  /** Tries once. The answer's body is not read; `timeoutMs` bounds the time until its head. */
  async once(method: string, path: string, token: string | null, options: RequestOptions = {}): Promise<Response> {
    const { signal } = options;
    signal?.throwIfAborted();
    const controller = new AbortController();
    const abort = () => controller.abort(signal?.reason);
    // Until the body is read. A signal may live as long as the page: it must not keep every request that it was given to.
    signal?.addEventListener("abort", abort, { once: true });
    const letGo = () => signal?.removeEventListener("abort", abort);
    const timeoutMs = options.timeoutMs ?? this.#options.timeoutMs ?? TIMEOUT_MS_DEFAULT;
    const timer = this.clock.after(timeoutMs, () => controller.abort(new NetworkError(`no answer in ${timeoutMs} ms`)));
    try {
      const ask = this.#options.fetch ?? globalThis.fetch;
      const response = await ask(this.url(path, options.query), this.#init(method, token, options, controller.signal));
      if (!response.ok) throw await problemOf(response);
      this.#holds.set(response, letGo);
      return response;
    } catch (error) {
      letGo();
      if (error instanceof ProblemError) throw error;
      signal?.throwIfAborted();
      // What was aborted has a reason of its own; everything else a browser keeps to itself.
      const hint = error instanceof NetworkError ? "" : crossOriginHint(this.baseUrl);
      throw new NetworkError(`${method} ${path}: no answer${hint}`, error);
    } finally {
      this.clock.cancel(timer);
    }
  }

  #init(method: string, token: string | null, options: RequestOptions, signal: AbortSignal): RequestInit {
    const headers: Record<string, string> = { ...options.headers };
    if (token !== null) headers["authorization"] = `Bearer ${token}`;
    if (options.idempotencyKey !== undefined) headers["idempotency-key"] = options.idempotencyKey;
    // Tokens travel in a header; cookies would only let other sites ask in the person's name.
    const init: RequestInit = { method, headers, signal, credentials: "omit", cache: "no-store" };
    if (options.body instanceof FormData) init.body = options.body;
    else if (options.body !== undefined) {
      headers["content-type"] = method === "PATCH" ? "application/merge-patch+json" : "application/json";
      init.body = JSON.stringify(options.body);
    }
    return init;
  }

  /** Milliseconds before the same request may be tried again; `null` when it may not. */
  #pause(error: unknown, tries: number, atWork: boolean): number | null {
    const jitter = 0.5 + this.clock.random() / 2;
    const pause = RETRY_MS * 2 ** tries * jitter;
    if (error instanceof NetworkError || atWork) return pause;
    if (!(error instanceof ProblemError) || !AGAIN.includes(error.status)) return null;
    if (error.retryAfterMs === null) return pause;
    return error.retryAfterMs <= RETRY_AFTER_MS_MAX ? error.retryAfterMs + pause : null;
  }
}

/** Whether the request may have been done all the same. */
function isUnknown(error: unknown): boolean {
  return error instanceof NetworkError || (error instanceof ProblemError && UNKNOWN.includes(error.status) && error.code !== "overloaded");
}

/** While the first request with a key is at work, the next one with it is refused so. */
function isConflict(error: unknown): boolean {
  return error instanceof ProblemError && error.code === "conflict";
}

function isGone(error: unknown): boolean {
  return error instanceof ProblemError && error.code === "gone";
}

/** Whether another token could help; a wrong password is 401 too, and no token mends it. */
function isTokenRefused(error: unknown): boolean {
  return error instanceof ProblemError && error.status === 401 && error.code !== "invalid_credentials";
}
