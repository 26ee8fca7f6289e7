// The client that a generator made from the server's description, used as an app would.
import assert from "node:assert/strict";
import {
  accountsLogIn,
  accountsRegister,
  feedRead,
  mediaUpload,
  peopleFollow,
  peopleGetMe,
  postsDelete,
  postsGet,
  postsPublish,
  type Post,
} from "./generated";
import { client } from "./generated/client.gen";

const baseUrl = process.env.API;
let token = "";
client.setConfig({ baseUrl, auth: () => token });

// A person, and who is refused.
const password = "correct horse battery";
const registered = await accountsRegister({ body: { handle: "typed", password } });
assert.equal(registered.response?.status, 201, JSON.stringify(registered.error));
token = registered.data?.token ?? "";
const me = await peopleGetMe({ throwOnError: true });
assert.equal(me.data.handle, "typed");
const taken = await accountsRegister({ body: { handle: "typed", password } });
assert.deepEqual([taken.error?.status, taken.error?.code], [409, "conflict"]);
const wrong = await accountsLogIn({ body: { handle: "typed", password: "another" } });
assert.equal(wrong.error?.status, 401);
const invalid = await accountsRegister({ body: { handle: "?", password: "short" } });
assert.deepEqual(invalid.error?.errors?.map((error) => error.field), ["handle", "password"]);

// Posts, once per key.
const sent = { body: { text: "Hello" }, headers: { "Idempotency-Key": "one" } };
const first = await postsPublish(sent);
const again = await postsPublish(sent);
assert.equal(again.data?.id, first.data?.id);
assert.equal(again.response?.headers.get("idempotency-replayed"), "true");
const other = await postsPublish({ ...sent, body: { text: "Other words" } });
assert.equal(other.error?.code, "validation_failed");

// A picture.
const gif = Uint8Array.from(atob("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"), (one) => one.charCodeAt(0));
const upload = await mediaUpload({ body: { file: new Blob([gif], { type: "image/gif" }), alt: "One pixel" } });
assert.equal(upload.data?.kind, "image", JSON.stringify(upload.error));
const shown = await postsPublish({ body: { text: "Look", media_ids: [upload.data?.id ?? ""] }, throwOnError: true });
assert.equal(shown.data.media[0]?.alt, "One pixel");

// The feed, page by page.
for (let turn = 0; turn < 5; turn += 1) await postsPublish({ body: { text: `Post ${turn}` }, throwOnError: true });
const seen: Post[] = [];
let cursor: string | undefined;
do {
  const page = await feedRead({ query: { limit: 2, cursor }, throwOnError: true });
  seen.push(...page.data.items);
  cursor = page.data.next_cursor ?? undefined;
} while (cursor);
assert.equal(seen.length, 7);
assert.equal(new Set(seen.map((post) => post.id)).size, 7);
const malformed = await feedRead({ query: { cursor: "nonsense" } });
assert.equal(malformed.error?.code, "bad_request");

// Nothing to say, and nothing there.
const gone = await postsDelete({ path: { id: shown.data.id } });
assert.deepEqual([gone.response?.status, gone.error], [204, undefined]);
assert.equal((await postsGet({ path: { id: shown.data.id } })).error?.code, "gone");
assert.equal((await peopleFollow({ path: { user: "@nobody" } })).error?.code, "not_found");
token = "ff_wrong";
assert.equal((await peopleGetMe()).error?.code, "unauthenticated");
console.log("the TypeScript client: all as described");
