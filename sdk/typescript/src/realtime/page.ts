// Events of the world around a page: the network comes and goes, the page is hidden, frozen, left.

/** Events that a page notices. */
export interface PageEvents {
  online(): void;
  offline(): void;
  /** The page is looked at again, after so many milliseconds. */
  shown(hiddenMs: number): void;
  /** Nobody looks at the page: it may be frozen or left without another word. */
  hidden(): void;
  /** The page is being left; it may come back. */
  left(): void;
}

/** Listens until the function that it answers is called. Does nothing where there is no page. */
export function watchPage(events: PageEvents): () => void {
  const scope = globalThis as { window?: Window; document?: Document };
  const { window, document } = scope;
  if (!window?.addEventListener || !document) return () => {};
  let hiddenAt: number | null = null;
  const hide = () => {
    hiddenAt ??= Date.now();
    events.hidden();
  };
  const show = () => {
    const ms = hiddenAt === null ? 0 : Date.now() - hiddenAt;
    hiddenAt = null;
    events.shown(ms);
  };
  const visibility = () => (document.visibilityState === "hidden" ? hide() : show());
  const online = () => events.online();
  const offline = () => events.offline();
  const on: [EventTarget, string, () => void][] = [
    [window, "online", online],
    [window, "offline", offline],
    [window, "pagehide", () => events.left()],
    [window, "pageshow", show],
    [document, "visibilitychange", visibility],
    // Chromium freezes hidden pages, and says when it thaws them.
    [document, "resume", show],
  ];
  for (const [target, name, listener] of on) target.addEventListener(name, listener);
  return () => {
    for (const [target, name, listener] of on) target.removeEventListener(name, listener);
  };
}

/** Whether the browser says that there is no network. */
export function isOffline(): boolean {
  return (globalThis as { navigator?: { onLine?: boolean } }).navigator?.onLine === false;
}
