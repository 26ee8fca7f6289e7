// The page at `/`. Everywhere it says where things are; in `fanfare demo` it also shows the demo person's feed. A stream of
// server-sent events says when there is something new, and the page asks for what is newer than its newest post
// (`since_id`). An application would use the SDK instead. Texts are set as text, never as HTML.
"use strict";

const FEED_EVERY_MS = 15000;
const AGAIN_MS = 1000;
const STATUS_EVERY_MS = 3000;
const SHOWN_MAX = 60;

const $ = (id) => document.getElementById(id);
const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
const count = (number) => Math.round(number).toLocaleString("en");
let token = "";
let newest = "";
let paused = false;
let thresholds = null;
const followers = new Map();

async function call(method, path, body) {
  const headers = { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail || `status ${answer.status}`);
  return answer.json();
}

async function logIn() {
  const login = await fetch("/demo.json");
  if (!login.ok) return false;
  const session = await call("POST", "/v1/sessions", await login.json());
  token = session.token;
  $("who").textContent = `@${session.user.handle}`;
  return true;
}

function tier(following) {
  if (following > thresholds["feed.pull_above"]) return "pull";
  return following < thresholds["feed.push_below"] ? "push" : "push_late";
}

async function followersOf(id) {
  if (!followers.has(id)) followers.set(id, (await call("GET", `/v1/users/${id}`)).followers_count);
  return followers.get(id);
}

async function badge(place, id) {
  if (!thresholds) return;
  const following = await followersOf(id);
  const name = tier(following);
  place.className = `tier ${name}`;
  place.textContent = `${name} · ${count(following)} followers`;
}

function byLine(post, small) {
  const by = make("div", "by");
  const face = make("span", "face", [...post.author.display_name][0]);
  face.setAttribute("aria-hidden", "true");
  face.style.background = `hsl(${Number(BigInt(post.author.id) / 4194304n % 360n)} 45% 38%)`;
  const at = make("time", "", new Date(post.created_at).toLocaleTimeString());
  at.dateTime = post.created_at;
  by.append(face, make("b", "", post.author.display_name), make("span", "soft", `@${post.author.handle}`), at);
  if (!small) {
    const place = make("span");
    by.append(place);
    badge(place, post.author.id).catch(() => {});
  }
  return by;
}

function body(post) {
  const parts = [];
  if (post.text) parts.push(make("p", "text", post.text));
  for (const media of post.media) {
    if (media.kind !== "image") continue;
    const picture = make("img");
    picture.src = media.thumbnail_url || media.url;
    picture.alt = media.alt || "";
    parts.push(picture);
  }
  return parts;
}

function show(post) {
  const item = make("li", "new");
  item.append(byLine(post, false));
  if (post.reply_to) item.append(make("span", "soft", "in reply"));
  item.append(...body(post));
  if (post.repost_of) {
    const passedOn = make("blockquote");
    passedOn.append(byLine(post.repost_of, true), ...body(post.repost_of));
    item.append(make("span", "soft", post.text ? "quotes" : "reposts"), passedOn);
  }
  const counts = [[post.like_count, "like", "likes"], [post.reply_count, "reply", "replies"],
    [post.repost_count, "repost", "reposts"]];
  const words = counts.filter(([number]) => number).map(([number, one, many]) => `${count(number)} ${number === 1 ? one : many}`);
  if (words.length) item.append(make("span", "soft", words.join(" · ")));
  $("feed").prepend(item);
}

async function refresh() {
  const since = newest ? `&since_id=${newest}` : "";
  const page = await call("GET", `/v1/feed?limit=20${since}`);
  for (const post of page.items.slice().reverse()) show(post);
  if (page.items.length) newest = page.items[0].id;
  while ($("feed").children.length > SHOWN_MAX) $("feed").lastChild.remove();
}

/** Listens, and refreshes when posts come or go; resumes where a connection was lost. */
async function listen() {
  let cursor = "";
  for (;;) {
    try {
      const answer = await fetch(`/v1/realtime/sse?cursor=${cursor}`, { headers: { authorization: `Bearer ${token}` } });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        for (const line of lines) if (line.startsWith("id: ")) cursor = line.slice(4);
        if (lines.some((line) => line.startsWith("data: ") && line.includes('"type":"feed.posts"')) && !paused) await refresh();
      }
    } catch {
      // The server is away, or the network is: again in a moment.
    }
    await new Promise((wake) => setTimeout(wake, AGAIN_MS));
  }
}

function list(place, rows) {
  place.replaceChildren(...rows.flatMap(([name, value, className]) => [make("dt", className, name), make("dd", "", value)]));
}

async function numbers() {
  const status = await call("GET", "/v1/admin/status");
  thresholds ||= await call("GET", "/v1/admin/settings");
  const [posts, sent] = [status.posts_by_policy, status.deliveries_by_policy];
  list($("numbers"), [
    ["Timelines in memory", count(status.timelines)],
    ["Entries in them", count(status.timeline_entries)],
    ["Bytes each", count(status.timeline_bytes / Math.max(1, status.timelines))],
    ["Fan-out jobs waiting", count(status.fan_out_queue + status.late_fan_out_queue)],
    ["Up for", `${count(status.uptime_s)} s`],
  ]);
  const [below, above] = [thresholds["feed.push_below"], thresholds["feed.pull_above"]];
  $("tiers").textContent = `Below ${count(below)} followers pushed at once, above ${count(above)} pulled when read, `
    + "between them pushed late.";
  const names = ["push", "push_late", "pull"];
  list($("policies"), names.map((name, index) => [name, `${count(posts[index])} posts · ${count(sent[index])} sent`, name]));
}

/** Does `work` again and again; a failure is shown and does not end it. */
async function every(ms, work) {
  for (;;) {
    try {
      if (!paused && !document.hidden) await work();
      if (work === refresh) $("note").textContent = paused ? "Paused." : "";
    } catch (error) {
      $("note").textContent = `The server does not answer: ${error.message}`;
    }
    await new Promise((wake) => setTimeout(wake, ms));
  }
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  $("pause").textContent = paused ? "Go on" : "Pause";
});
$("compose").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await call("POST", "/v1/posts", { text: $("text").value });
    $("text").value = "";
    await refresh();
  } catch (error) {
    $("note").textContent = error.message;
  }
});

$("register").textContent = `curl -s -H 'content-type: application/json' \\
  -d '{"handle": "ada", "password": "choose a long one"}' \\
  ${location.origin}/v1/users`;
logIn().then(async (isDemo) => {
  if (!isDemo) return;
  document.body.classList.add("demo");
  $("start").hidden = true;
  $("live").hidden = $("side").hidden = false;
  await numbers().catch(() => { $("side").hidden = true; });
  every(FEED_EVERY_MS, refresh);
  listen();
  if (!$("side").hidden) every(STATUS_EVERY_MS, numbers);
}).catch(() => {});
