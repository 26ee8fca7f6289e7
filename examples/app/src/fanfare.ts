// Everything that the app knows of Fanfare: one client, one connection, and hooks over them.
import { Client, type Events, FanfareError, isDropped, type Post, type Session, type User } from "@fanfare/sdk";
import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";

/** Address of Fanfare: `VITE_FANFARE` at build time, or the demo's address. */
export const client = new Client({ baseUrl: import.meta.env.VITE_FANFARE ?? "http://127.0.0.1:7070" });

// Before the log-in it waits; after a log-out it waits for the next one. The place is kept, so that a reload misses nothing.
const realtime = client.connect({ storage: localStorage }).start();

const kept = localStorage.getItem("session");
const before: Session | null = kept === null ? null : JSON.parse(kept);
client.setToken(before?.token ?? null);

/** Session: who is logged in, and how to change that. */
export function useSession() {
  const [me, setMe] = useState<User | null>(before?.user ?? null);
  const enter = useCallback((session: Session) => {
    localStorage.setItem("session", JSON.stringify(session));
    setMe(session.user);
  }, []);
  const leave = useCallback(async () => {
    // Also when the server is away, or has ended the session itself.
    await client.accounts.logOut().catch(() => client.setToken(null));
    localStorage.removeItem("session");
    setMe(null);
  }, []);
  return { me, enter, leave };
}

/** State of the connection. */
export function useConnection() {
  return useSyncExternalStore(
    (changed) => realtime.onState(changed),
    () => realtime.state,
  );
}

/** Hears events for as long as a component is there. */
export function useEvent<K extends keyof Events>(type: K, listener: (data: Events[K]) => void) {
  const latest = useRef(listener);
  useEffect(() => {
    latest.current = listener;
  });
  useEffect(() => realtime.on(type, (data) => latest.current(data)), [type]);
}

/** The home feed, newest first: read once, then kept up to date by events. */
export function useFeed() {
  const [posts, setPosts] = useState<Post[] | null>(null);
  const add = useCallback((items: Post[]) => setPosts((shown) => newestFirst([...(shown ?? []), ...items])), []);
  const change = useCallback((id: string, changed: (post: Post) => Post) => {
    setPosts((shown) => shown?.map((post) => (post.id === id ? changed(post) : post)) ?? null);
  }, []);
  const remove = useCallback((id: string) => setPosts((shown) => shown?.filter((post) => post.id !== id) ?? null), []);
  const read = useCallback(async () => {
    const items = await client.feed.read().take(50);
    // What came by an event meanwhile stays; what was there before is as the server says now.
    setPosts((shown) => newestFirst([...items, ...(shown ?? []).filter((post) => !items[0] || newer(post, items[0]))]));
  }, []);
  useEffect(() => void read().catch(report), [read]);
  useEvent("feed.posts", ({ items }) => add(items));
  useEvent("post.deleted", ({ id }) => remove(id));
  useEvent("author.deleted", (gone) => setPosts((shown) => shown?.filter((post) => !isDropped(post, gone)) ?? null));
  useEvent("reset", () => void read().catch(report));
  return { posts, add, change, remove, read };
}

/** Ids are decimal numbers, larger than JavaScript's own can hold. */
const newer = (a: Post, b: Post) => BigInt(a.id) > BigInt(b.id);

/** Each post once, and as it was heard of first. */
function newestFirst(posts: Post[]): Post[] {
  const byId = new Map([...posts].reverse().map((post) => [post.id, post]));
  return [...byId.values()].sort((a, b) => (newer(a, b) ? -1 : 1));
}

let say: (text: string) => void = () => {};

/** Shows what went wrong, in the SDK's words. */
export function report(error: unknown) {
  say(error instanceof FanfareError ? error.message : String(error));
}

/** Report of what went wrong last, until it is put away. */
export function useReports() {
  const [text, setText] = useState<string | null>(null);
  useEffect(() => {
    say = setText;
  }, []);
  return { text, dismiss: () => setText(null) };
}
