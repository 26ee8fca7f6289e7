// A first page of live sessions that is kept as it is now.
import assert from "node:assert/strict";
import test from "node:test";
import { KeptPage, LiveCalls } from "../dist/live.js";

const MINUTE = 60_000;

function session(id, state, minute) {
  const at = new Date(Date.UTC(2030, 0, 1) + minute * MINUTE).toISOString();
  const host = { id: "1", handle: "ada", display_name: "Ada", avatar_url: null };
  return {
    id,
    host,
    title: id,
    state,
    starts_at: at,
    started_at: state === "upcoming" ? null : at,
    ended_at: state === "replay" ? at : null,
    replay_url: null,
    reminder: false,
  };
}

function kept(next_cursor) {
  const page = new KeptPage(4);
  const upcoming = [session("2", "upcoming", 60), session("3", "upcoming", 70)];
  const items = [session("1", "live", 50), ...upcoming, session("4", "replay", 40)];
  page.read({ items, next_cursor });
  return page;
}

function changed(one, version, removed = false) {
  const { reminder: _, ...rest } = one;
  return { ...rest, version, ...(removed && { removed }) };
}

const ids = (page) => page.sessions.map((one) => one.id);

test("a session goes where it belongs, and an older change changes nothing", () => {
  const page = kept(null);
  assert.ok(page.take(changed(session("3", "live", 55), "10")));
  assert.deepEqual(ids(page), ["3", "1", "2", "4"]);
  assert.ok(!page.take(changed(session("3", "upcoming", 70), "9")));
  assert.ok(page.take(changed(session("1", "replay", 57), "11")));
  assert.deepEqual(ids(page), ["3", "2", "1", "4"]);
  assert.ok(page.take(changed(session("5", "upcoming", 58), "12")));
  assert.deepEqual(ids(page), ["3", "5", "2", "1"]);
  assert.ok(page.take(changed(session("2", "upcoming", 60), "13", true)));
  assert.ok(page.stale, "one was pushed off the page");
  const all = kept(null);
  assert.ok(all.take(changed(session("2", "upcoming", 60), "13", true)));
  assert.deepEqual([ids(all), all.stale], [["1", "3", "4"], false]);
});

test("a page that lacks what is below it is to be read anew", () => {
  const moved = kept("more");
  moved.take(changed(session("2", "replay", 30), "10"));
  assert.ok(moved.stale);
  const gone = kept("more");
  gone.take(changed(session("2", "upcoming", 60), "10", true));
  assert.ok(gone.stale);
  const other = kept("more");
  assert.ok(!other.take(changed(session("9", "replay", 10), "10")));
  assert.deepEqual([ids(other), other.stale], [["1", "2", "3", "4"], false]);
});

test("a watch reads once, keeps what it hears, and reads again when it must", async () => {
  let pages = [{ items: [session("1", "live", 50), session("2", "upcoming", 60)], next_cursor: "more" }];
  let reads = 0;
  const calls = new LiveCalls({
    json: async () => {
      reads += 1;
      return pages.length > 1 ? pages.shift() : pages[0];
    },
  });
  const listeners = {};
  const realtime = {
    on: (type, listener) => {
      listeners[type] = listener;
      return () => delete listeners[type];
    },
  };
  const told = [];
  const hear = (sessions, info) => told.push([sessions.map((one) => one.id), info.anew]);
  const watch = calls.watch(realtime, { limit: 2, changed: hear });
  await watch.anew();
  assert.deepEqual(told.splice(0).at(-1), [["1", "2"], true]);
  listeners["live.changed"](changed(session("3", "live", 55), "10"));
  assert.deepEqual(told.splice(0), [[["3", "1"], false]]);
  const before = reads;
  pages = [{ items: [session("3", "live", 55), session("7", "upcoming", 90)], next_cursor: null }];
  listeners["live.changed"](changed(session("1", "live", 50), "11", true));
  await watch.anew();
  assert.ok(reads > before);
  assert.deepEqual(told.splice(0).at(-1), [["3", "7"], true]);
  watch.stop();
  assert.deepEqual([Object.keys(listeners), watch.sessions.length], [[], 2]);
});
