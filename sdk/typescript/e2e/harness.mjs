// What the tests against the real server stand on: the binary, people, nginx, a browser. Everything ends with its test.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createListener } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Client } from "../dist/index.js";
import { until } from "../test/fakes.mjs";

export { until };
export const PASSWORD = "correct horse battery";
const PACKAGE = fileURLToPath(new URL("..", import.meta.url));

/** The binary: `$FANFARE_BIN`, or where cargo puts it. */
export function binary() {
  const target = process.env.CARGO_TARGET_DIR ?? join(PACKAGE, "../../target");
  const path = resolve(process.env.FANFARE_BIN ?? join(target, "debug/fanfare"));
  if (!existsSync(path)) throw new Error(`${path} is not there: run cargo build, or set FANFARE_BIN`);
  return path;
}

/** The first of these programs that is installed. */
export function program(...names) {
  const folders = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/usr/local/sbin"];
  for (const name of names) for (const folder of folders) if (existsSync(join(folder, name))) return join(folder, name);
  return null;
}

/** What ends when a suite does, in the way that tests have it. */
export class Suite {
  #ends = [];
  after(end) {
    this.#ends.unshift(end);
  }
  async end() {
    for (const end of this.#ends) await end();
  }
}

/** A folder that is gone when the test is over. */
export function folder(t) {
  const path = mkdtempSync(join(tmpdir(), "fanfare-sdk-"));
  t.after(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }));
  return path;
}

/** A port that is free now. */
export async function freePort() {
  const listener = createListener();
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address();
  await new Promise((resolve) => listener.close(resolve));
  return port;
}

/** Whether there is a good answer, soon: a fetch without a bound can wait for ever on a connection that was closed early. */
function answers(url) {
  return fetch(url, { signal: AbortSignal.timeout(5_000) }).then((response) => response.ok, () => false);
}

/** `fanfare serve` on one port and folder, through kills and restarts. */
export class Server {
  #child = null;
  constructor(port, data, settings) {
    this.port = port;
    this.data = data;
    this.base = `http://127.0.0.1:${port}`;
    this.settings = settings;
  }

  static async start(t, settings = {}) {
    const server = new Server(await freePort(), folder(t), settings);
    t.after(() => server.kill());
    await server.start();
    return server;
  }

  async start() {
    const env = { ...process.env };
    for (const name of Object.keys(env)) if (name.startsWith("FANFARE_")) delete env[name];
    Object.assign(env, {
      FANFARE__LOG__LEVEL: "warn",
      FANFARE__AUTH__ARGON2_MEMORY_KIB: "8",
      FANFARE__AUTH__ARGON2_ITERATIONS: "1",
      FANFARE__REALTIME__BULK_DELAY_MS: "50",
      ...this.settings,
    });
    const args = ["serve", "--listen", `127.0.0.1:${this.port}`, "--data-dir", this.data];
    this.#child = spawn(binary(), args, { env, stdio: ["ignore", "ignore", "pipe"] });
    this.errors = "";
    this.#child.stderr.on("data", (data) => (this.errors = (this.errors + data).slice(-20_000)));
    const ready = () => answers(`${this.base}/readyz`);
    await until(ready, () => `the server: ${this.errors}`, 30_000);
  }

  /** Sends a signal and waits for the end. */
  async kill(signal = "SIGKILL") {
    const child = this.#child;
    this.#child = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await ended;
  }

  /** A new person. */
  async person(handle, options = {}) {
    const client = new Client({ baseUrl: this.base, ...options });
    const { user, token } = await client.accounts.register({ handle, password: PASSWORD });
    return Object.assign(client, { user, token });
  }

  /** A caller with the operator's token. */
  admin() {
    return new Client({ baseUrl: this.base, token: readFileSync(join(this.data, "admin.token"), "utf8").trim() });
  }
}

/** What one application saw of keyed items, and whether that is what it should be. */
export class History {
  posts = [];
  notifications = [];
  deleted = [];
  departed = [];
  events = [];
  constructor(realtime) {
    realtime.onAny((data, info) => {
      this.events.push({ type: info.type, data, recovered: info.recovered });
      if (info.type === "feed.posts") this.posts.push(...data.items.map((post) => post.id));
      if (info.type === "notification") this.notifications.push(data.id);
      if (info.type === "post.deleted") this.deleted.push(data.id);
      if (info.type === "author.deleted") this.departed.push(data.user_id);
    });
  }
  /** The ids that are missing or came twice; empty when all is well. */
  faults(expected, seen = this.posts) {
    const missing = expected.filter((id) => !seen.includes(id)).map((id) => `lost ${id}`);
    const doubled = seen.filter((id, at) => seen.indexOf(id) !== at).map((id) => `twice ${id}`);
    return [...missing, ...doubled];
  }
  has(type) {
    return this.events.some((event) => event.type === type);
  }
}

/** nginx in front of a server; `change` takes other settings and reloads. */
export class Nginx {
  #child = null;
  static async start(t, upstream, pages, settings) {
    const nginx = new Nginx();
    nginx.port = await freePort();
    nginx.base = `http://127.0.0.1:${nginx.port}`;
    nginx.folder = folder(t);
    nginx.upstream = upstream;
    nginx.pages = pages;
    t.after(() => nginx.stop());
    nginx.#write(settings);
    await nginx.start();
    return nginx;
  }

  async start() {
    const args = ["-p", this.folder, "-e", "stderr", "-c", "nginx.conf"];
    this.#child = spawn(program("nginx"), args, { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    this.#child.stderr.on("data", (data) => (said = (said + data).slice(-5_000)));
    await until(() => answers(`${this.base}/nginx`), () => `nginx: ${said}`);
  }

  /** Other settings from the next connection on; old connections end. */
  async change(settings) {
    this.#write(settings);
    await this.stop();
    await this.start();
  }

  async stop() {
    const child = this.#child;
    this.#child = null;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    await ended;
  }

  /** `upgrade`: WebSocket may pass. `buffering`: answers are kept back. `cutS`: silent requests are given up. */
  #write({ upgrade = true, buffering = false, cutS = 120 }) {
    const user = process.getuid() === 0 ? "user root;" : "";
    const temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${this.folder}/${name};`);
    const up = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;";
    const down = 'proxy_set_header Upgrade ""; proxy_set_header Connection "";';
    const buffer = buffering ? "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;" : "proxy_buffering off;";
    const text = `${user} daemon off; worker_processes 1; pid ${this.folder}/pid; error_log stderr crit;
      events { worker_connections 512; }
      http {
        access_log off; ${temp.join(" ")}
        map $http_upgrade $connection_upgrade { default upgrade; "" ""; }
        server {
          listen 127.0.0.1:${this.port};
          proxy_http_version 1.1; proxy_set_header Host $host; proxy_read_timeout ${cutS}s;
          location = /nginx { return 200 "here"; }
          location /v1/ { proxy_pass ${this.upstream}; ${upgrade ? up : down} ${buffer} }
          location / { proxy_pass ${this.pages}; }
        }
      }`;
    writeFileSync(join(this.folder, "nginx.conf"), text);
  }
}

/** A server of the test page and of the built package. */
export async function pages(t) {
  const { port } = await answering(t, (pathname) => {
    if (pathname === "/") return { name: "index.html", bytes: PAGE };
    return pathname.startsWith("/dist/") ? fileIn(PACKAGE, pathname) : null;
  });
  return `http://127.0.0.1:${port}`;
}

/** A server of the files of a folder; `/` is its index.html. */
export function staticFiles(t, root) {
  return answering(t, (pathname) => fileIn(root, pathname === "/" ? "/index.html" : pathname));
}

const TYPES = { html: "text/html", js: "text/javascript", css: "text/css", svg: "image/svg+xml" };

function fileIn(root, pathname) {
  const path = join(root, pathname);
  if (!/^\/[\w/.-]+\.\w+$/.test(pathname) || pathname.includes("..") || !existsSync(path)) return null;
  return { name: path, bytes: readFileSync(path) };
}

/** Answers GETs on a port of its own until the test is over. */
async function answering(t, find) {
  const files = createServer((request, response) => {
    const found = find(new URL(request.url, "http://x").pathname);
    if (!found) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": TYPES[found.name.split(".").at(-1)] ?? "text/plain" }).end(found.bytes);
  });
  await new Promise((resolve) => files.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    files.closeAllConnections();
    files.close();
  });
  return { port: files.address().port };
}

/** Connects as the address says (`#{token, options}`) and shows what it sees to the test. */
const PAGE = `<!doctype html><title>Fanfare</title><link rel="icon" href="data:,"><script type="module">
  import { Client } from "/dist/index.js";
  const { token, options } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
  const realtime = new Client({ token }).connect(options);
  const seen = (window.seen = { posts: [], states: [], transports: [], types: [] });
  realtime.onAny((data, info) => {
    seen.types.push(info.type);
    if (info.type === "feed.posts") seen.posts.push(...data.items.map((post) => post.id));
  });
  realtime.onState((state) => {
    seen.states.push(state.status);
    if (state.status === "open" && seen.transports.at(-1) !== state.transport) seen.transports.push(state.transport);
  });
  window.realtime = realtime.start();
</script>`;

/** Chromium with what a test needs of it. */
export async function browser(t, args = []) {
  const { chromium } = await import("playwright-core");
  const launched = await chromium.launch({
    executablePath: program("chromium", "chromium-browser", "google-chrome"),
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      ...args,
    ],
  });
  t.after(() => launched.close());
  return launched;
}
