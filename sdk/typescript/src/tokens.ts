// Token that requests carry: given, asked for, renewed; and who hears when it becomes another.

/** Source of the token: itself, or a function that is asked before each request. */
export type TokenSource = string | null | (() => string | null | Promise<string | null>);

/** Meaning of a new token for what goes on. */
export interface TokenChange {
  /** Whether there is no token any more: a log-out. */
  gone: boolean;
  /** Somebody logged in who is not, or not known to be, the person of the token before. */
  another: boolean;
}

/** The token of a client. */
export class Tokens {
  #source: TokenSource;
  #whose: string | null = null;
  #renewed: string | null = null;
  #renewing: Promise<string | null> | null = null;
  readonly #listeners = new Set<(change: TokenChange) => void>();

  constructor(
    source: TokenSource,
    private readonly hook?: (refused: string | null) => string | null | Promise<string | null>,
  ) {
    this.#source = source;
  }

  /** Person who logged in last, if that was said; a fresh token does not change it. */
  get whose(): string | null {
    return this.#whose;
  }

  /** Whether somebody is asked for a token when there is none, or it is refused. */
  get renewable(): boolean {
    return this.hook !== undefined;
  }

  /** Whether a function gives the token: it may have another one at any time, and tells nobody. */
  get asked(): boolean {
    return typeof this.#source === "function";
  }

  async current(): Promise<string | null> {
    if (this.#renewed !== null) return this.#renewed;
    return typeof this.#source === "function" ? await this.#source() : this.#source;
  }

  set(source: TokenSource, whose: string | null = null): void {
    this.#source = source;
    this.#renewed = null;
    const another = source !== null && whose !== null && whose !== this.#whose;
    if (source === null || whose !== null) this.#whose = whose;
    for (const listener of [...this.#listeners]) listener({ gone: source === null, another });
  }

  listen(listener: (change: TokenChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A token in place of `refused`; those who ask at the same time share one call of the hook. */
  async renew(refused: string | null): Promise<string | null> {
    const current = await this.current();
    // Somebody else's request has brought a new one meanwhile.
    if (current !== null && current !== refused) return current;
    if (!this.hook) return null;
    this.#renewing ??= this.#ask(this.hook, refused).finally(() => (this.#renewing = null));
    return this.#renewing;
  }

  async #ask(hook: NonNullable<typeof this.hook>, refused: string | null): Promise<string | null> {
    const asked = this.#source;
    const token = await hook(refused);
    // A log-in or log-out meanwhile knows better.
    if (token === null || this.#source !== asked) return token;
    if (typeof this.#source === "function") this.#renewed = token;
    else this.#source = token;
    return token;
  }
}
