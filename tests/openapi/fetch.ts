// The types that openapi-typescript writes, with openapi-fetch: another way to the same calls.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./generated/schema";

const api = createClient<paths>({ baseUrl: process.env.API });
const { data, error } = await api.GET("/v1/posts", { params: { query: { scope: "public", limit: 1 } } });
assert.equal(error, undefined);
const posts: components["schemas"]["Post"][] = data?.items ?? [];
assert.equal(posts.length, 1);
const missing = await api.GET("/v1/users/{user}", { params: { path: { user: "@nobody" } } });
assert.equal(missing.error?.code, "not_found");
console.log("openapi-fetch: all as described");
