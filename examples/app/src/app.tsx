import { type Notification, type Post, ProblemError, type User } from "@fanfare/sdk";
import { type FormEvent, useCallback, useEffect, useState } from "react";
import { client, report, useConnection, useEvent, useFeed, useReports, useSession } from "./fanfare.js";

export function App() {
  const { me, enter, leave } = useSession();
  const { text, dismiss } = useReports();
  return (
    <>
      {me ? <Home key={me.id} me={me} leave={leave} /> : <Door enter={enter} />}
      {text && (
        <p role="alert" onClick={dismiss}>
          {text}
        </p>
      )}
    </>
  );
}

/** Log in, or make an account. */
function Door({ enter }: { enter: ReturnType<typeof useSession>["enter"] }) {
  const [fresh, setFresh] = useState(false);
  const [wrong, setWrong] = useState("");
  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    const [handle, password] = [String(fields.get("handle")), String(fields.get("password"))];
    setWrong("");
    try {
      enter(await (fresh ? client.accounts.register({ handle, password }) : client.accounts.logIn(handle, password)));
    } catch (error) {
      if (error instanceof ProblemError && error.code === "invalid_credentials") setWrong("That is not the password of this handle.");
      else if (error instanceof ProblemError) setWrong(error.problem.detail);
      else report(error);
    }
  }
  return (
    <main className="door">
      <h1>Small talk</h1>
      <form onSubmit={submit}>
        <input name="handle" placeholder="Handle" aria-label="Handle" autoComplete="username" autoCapitalize="none" required autoFocus />
        <input name="password" type="password" placeholder="Password" aria-label="Password" minLength={8} required
          autoComplete={fresh ? "new-password" : "current-password"} />
        <p className="wrong" aria-live="polite">{wrong}</p>
        <button className="main">{fresh ? "Make an account" : "Log in"}</button>
      </form>
      <button onClick={() => setFresh(!fresh)}>{fresh ? "I have an account" : "I am new here"}</button>
    </main>
  );
}

function Home({ me, leave }: { me: User; leave: () => Promise<void> }) {
  const { posts, add, change, remove, read } = useFeed();
  const { status, transport } = useConnection();
  // The session was ended elsewhere: only a log-in helps.
  useEffect(() => {
    if (status === "stopped") void leave();
  }, [status, leave]);
  return (
    <>
      <header>
        <h1>Small talk</h1>
        <span className={`light ${status}`} title={`${status}${transport ? ` by ${transport}` : ""}`} data-testid="connection" />
        <Bell />
        <button onClick={() => void leave()}>Log out @{me.handle}</button>
      </header>
      <main>
        <Compose placeholder="What is new?" done={(post) => add([post])} />
        <People followed={() => void read().catch(report)} />
        {posts === null && <p className="quiet">…</p>}
        {posts?.length === 0 && <p className="quiet">Nothing here yet. Post something, or find somebody to follow.</p>}
        {posts?.map((post) => (
          <Entry key={post.id} post={post} mine={post.author.id === me.id} change={change} remove={remove} add={add} />
        ))}
      </main>
    </>
  );
}

/** Writes a post, or an answer to one. */
function Compose({ placeholder, replyTo, done }: { placeholder: string; replyTo?: string; done: (post: Post) => void }) {
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  async function submit(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    try {
      done(await client.posts.create({ text, reply_to: replyTo }));
      setText("");
    } catch (error) {
      report(error);
    } finally {
      setBusy(false);
    }
  }
  return (
    <form className="compose" onSubmit={submit}>
      <textarea value={text} placeholder={placeholder} aria-label={placeholder} rows={2} onChange={(event) => setText(event.target.value)} />
      <button className="main" disabled={busy || text.trim() === ""}>{replyTo ? "Reply" : "Post"}</button>
    </form>
  );
}

interface EntryProps {
  post: Post;
  mine: boolean;
  change: (id: string, changed: (post: Post) => Post) => void;
  remove: (id: string) => void;
  add: (posts: Post[]) => void;
}

/** A post of the feed, or a repost with the post that it passes on. */
function Entry({ post, mine, change, remove, add }: EntryProps) {
  const shown = post.repost_of && post.text === "" ? post.repost_of : post;
  const [replying, setReplying] = useState(false);
  async function like() {
    try {
      const liked = await (shown.liked ? client.posts.unlike(shown.id) : client.posts.like(shown.id));
      // A like can be taken back of a post that its author no longer shows to who liked it.
      if ("author" in liked) change(post.id, (before) => (before.id === liked.id ? liked : { ...before, repost_of: liked }));
      else remove(post.id);
    } catch (error) {
      report(error);
    }
  }
  function replied(reply: Post) {
    setReplying(false);
    change(post.id, (before) => ({ ...before, reply_count: before.reply_count + 1 }));
    add([reply]);
  }
  return (
    <article data-id={post.id}>
      <Face of={shown.author} />
      <div>
        {shown !== post && <p className="quiet">passed on by @{post.author.handle}</p>}
        <p>
          <b>{shown.author.display_name}</b> <span className="quiet">@{shown.author.handle} · {ago(shown.created_at)}{shown.reply_to && " · a reply"}</span>
        </p>
        <p className="text">{shown.text}</p>
        {shown.media.filter((one) => one.kind === "image").map((one) => (
          <img key={one.id} src={client.media.url(one.thumbnail_url ?? one)} alt={one.alt ?? ""} loading="lazy" />
        ))}
        <p className="acts">
          <button onClick={() => void like()} aria-pressed={shown.liked ?? false} aria-label="Like">{shown.liked ? "♥" : "♡"} {shown.like_count}</button>
          <button onClick={() => setReplying(!replying)} aria-label="Reply">↩ {shown.reply_count}</button>
          {mine && <button onClick={() => void client.posts.delete(post.id).then(() => remove(post.id), report)}>Delete</button>}
        </p>
        {replying && <Compose placeholder={`Answer @${shown.author.handle}`} replyTo={shown.id} done={replied} />}
      </div>
    </article>
  );
}

/** Finds people, and follows them. */
function People({ followed }: { followed: () => void }) {
  const [text, setText] = useState("");
  const [people, setPeople] = useState<User[]>([]);
  useEffect(() => {
    if (text.trim() === "") return setPeople([]);
    const taken = new AbortController();
    client.users.search(text, { signal: taken.signal }).take(5).then(setPeople, (error) => taken.signal.aborted || report(error));
    // The next letter takes back what is still asked for this one.
    return () => taken.abort();
  }, [text]);
  async function toggle(person: User) {
    const { following } = person.relationship ?? { following: false };
    try {
      const relationship = await (following ? client.users.unfollow(person.id) : client.users.follow(person.id));
      setPeople((all) => all.map((one) => (one.id === person.id ? { ...one, relationship } : one)));
      followed();
    } catch (error) {
      report(error);
    }
  }
  return (
    <section className="people">
      <input type="search" value={text} placeholder="Find people" aria-label="Find people" onChange={(event) => setText(event.target.value)} />
      {people.map((person) => (
        <p key={person.id}>
          <Face of={person} /> <b>{person.display_name}</b> <span className="quiet">@{person.handle}</span>
          {person.relationship && (
            <button onClick={() => void toggle(person)}>{person.relationship.following ? "Unfollow" : "Follow"} @{person.handle}</button>
          )}
        </p>
      ))}
    </section>
  );
}

/** Bell of what others did: a count that rises by itself, and the list behind it. */
function Bell() {
  const [unread, setUnread] = useState(0);
  const [items, setItems] = useState<Notification[]>([]);
  const [open, setOpen] = useState(false);
  const read = useCallback(async () => {
    const page = await client.notifications.list();
    setItems(page.items);
    setUnread(page.unread_count);
  }, []);
  useEffect(() => void read().catch(report), [read]);
  useEvent("notification", () => void read().catch(report));
  useEvent("notifications.read", () => void read().catch(report));
  async function toggle() {
    setOpen(!open);
    const newest = items[0];
    if (!open && newest && unread > 0) {
      await client.notifications.markRead(newest.id).catch(report);
      setUnread(0);
    }
  }
  return (
    <div className="bell">
      <button onClick={() => void toggle()} aria-label={`Notifications, ${unread} new`} aria-expanded={open}>
        <svg viewBox="0 0 24 24" width="20" height="20" fill="none" stroke="currentColor" strokeWidth="2" aria-hidden="true">
          <path d="M6 10a6 6 0 0 1 12 0c0 6 2 7 2 7H4s2-1 2-7M10 20a2 2 0 0 0 4 0" />
        </svg>
        {unread > 0 && <b>{unread}</b>}
      </button>
      {open && (
        <ol>
          {items.map((item) => (
            <li key={item.id}>
              <b>{item.actor.display_name}</b> {item.count > 1 && `and ${item.count - 1} more `}{DID[item.kind] ?? item.kind}
              {item.post && <q>{item.post.text}</q>}
            </li>
          ))}
          {items.length === 0 && <li className="quiet">Nobody did anything yet.</li>}
        </ol>
      )}
    </div>
  );
}

/** Newer servers may know more kinds. */
const DID: Record<string, string> = {
  follow: "follows you",
  like: "likes your post",
  reply: "answered",
  repost: "passed your post on",
  mention: "mentioned you",
};

function Face({ of }: { of: { handle: string; avatar_url?: string | null | undefined } }) {
  const url = client.media.url(of.avatar_url);
  const hue = [...of.handle].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) % 360;
  if (url) return <img className="face" src={url} alt="" />;
  return <span className="face" style={{ background: `hsl(${hue} 60% 45%)` }}>{of.handle.slice(0, 1).toUpperCase()}</span>;
}

function ago(time: string): string {
  const minutes = Math.floor((Date.now() - Date.parse(time)) / 60_000);
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes} min`;
  return minutes < 1440 ? `${Math.floor(minutes / 60)} h` : new Date(time).toLocaleDateString();
}
