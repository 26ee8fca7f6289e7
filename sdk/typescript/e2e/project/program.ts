// A program of somebody who installed the package: as an ES module and as CommonJS, with ws and its types as WebSocket.
import { Client, NetworkError, type Page, type Post, ProblemError, Realtime } from "@fanfare/sdk";
import { WebSocket } from "ws";

async function main(): Promise<void> {
  const [, , baseUrl = "", handle = ""] = process.argv;
  // Strict programs hand on what may be absent as it is.
  const absent: { token?: string; limit?: number } = {};
  const client = new Client({ baseUrl, token: absent.token, fetch: undefined, timeoutMs: 10_000 });
  const { user } = await client.accounts.register({ handle, password: "correct horse battery", display_name: undefined });
  const realtime: Realtime = client.connect({ WebSocket, storage: undefined, transports: ["websocket"] }).start();
  await realtime.opened();
  const heard = new Promise<Post>((resolve) => realtime.on("feed.posts", ({ items: [post] }) => post && resolve(post)));
  const post: Post = await client.posts.create({ text: "hello", reply_to: undefined }, { signal: AbortSignal.timeout(5_000) });
  const page: Page<Post> = await client.feed.read({ limit: absent.limit });
  const followers: string[] = [];
  for await (const follower of client.users.followers(user.id, { signal: undefined })) followers.push(follower.handle);
  const refused: unknown = await client.posts.get("1").catch((error: unknown) => error);
  const away: unknown = await new Client({ baseUrl: "http://127.0.0.1:1", retries: 0 }).users.me().catch((error: unknown) => error);
  console.log(
    JSON.stringify({
      transport: realtime.transport,
      heard: (await heard).id === post.id,
      read: page.items[0]?.id === post.id,
      followers,
      refused: refused instanceof ProblemError && refused.code === "not_found",
      away: away instanceof NetworkError,
    }),
  );
  realtime.stop();
}

void main();
