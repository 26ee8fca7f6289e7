// A page of somebody who installed the package, from an origin of its own.
import { Client, NetworkError } from "@fanfare/sdk";

const { baseUrl, handle } = JSON.parse(decodeURIComponent(location.hash.slice(1))) as { baseUrl: string; handle: string };

async function main(): Promise<Record<string, unknown>> {
  const client = new Client({ baseUrl, retries: 0 });
  // Before anybody has logged in.
  const realtime = client.connect().start();
  const heard = new Promise((resolve) => realtime.on("feed.posts", ({ items: [post] }) => resolve(post?.text)));
  const before = realtime.state.status;
  await client.accounts.register({ handle, password: "correct horse battery" });
  await realtime.opened();
  const canvas = Object.assign(document.createElement("canvas"), { width: 3, height: 2 });
  canvas.getContext("2d")?.fillRect(0, 0, 2, 1);
  const file = await new Promise<Blob>((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no picture")))),
  );
  const media = await client.media.upload(file, { filename: "dot.png" });
  await client.posts.create({ text: "from a page", media_ids: [media.id] });
  const [post] = await client.feed.read().take(1);
  const image = new Image();
  image.src = client.media.url(post!.media[0]!);
  await image.decode();
  return { secure: isSecureContext, before, transport: realtime.transport, heard: await heard, pixels: [image.width, image.height] };
}

main().then(
  (result) => Object.assign(window, { result }),
  (error: Error) => Object.assign(window, { result: { network: error instanceof NetworkError, message: error.message } }),
);
