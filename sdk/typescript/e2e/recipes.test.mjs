// Every program that a document shows is compiled strictly and run against the real server, in Chromium or in Node; the
// quick start is followed command by command.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Client } from "../dist/index.js";
import { demo } from "./demo.mjs";
import { browser, folder, PASSWORD, Server, Suite, until } from "./harness.mjs";
import { cloned, compile, execute, packed, project, vite } from "./project.mjs";
import { blocks, ellipsis, EXTENSIONS, forServer, kindOf, programs } from "./recipes.mjs";

const README = "sdk/typescript/README.md";
const QUICK_START = "A feed in your page, in five minutes";
const SECRET = "a secret of thirty-two bytes, or so";
const RECIPES = programs();

/** A JWT of the recipes' own backend. */
function jwt(sub, seconds) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const said = `${part({ alg: "HS256" })}.${part({ sub, exp: Math.floor(Date.now() / 1000) + seconds })}`;
  return `${said}.${createHmac("sha256", SECRET).update(said).digest("base64url")}`;
}

/** Starts a dev server; its child and its address. */
async function dev(t, cwd, program, args) {
  const child = spawn(program, args, { cwd, env: { ...process.env, NO_COLOR: "1" }, stdio: ["ignore", "pipe", "pipe"], detached: true });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (said += data));
  // npx has children of its own.
  t.after(() => process.kill(-child.pid, "SIGKILL"));
  const address = await until(() => /http:\/\/localhost:\d+/.exec(said)?.[0], () => `Vite: ${said}`, 60_000);
  return { address };
}

/** A page that shows nothing but what it runs; what it printed, and what went wrong in it. */
async function open(context, url) {
  const page = await context.newPage();
  const printed = [];
  const wrong = [];
  page.on("console", (message) => printed.push(message.text()));
  page.on("pageerror", (error) => wrong.push(error.message));
  await page.goto(url);
  await page.waitForFunction(() => window.recipe, null, { timeout: 30_000 }).catch(() => assert.fail(`${url}: ${wrong} ${printed}`));
  return { page, printed, wrong };
}

test("no program has a hole, and every language of programs is known", () => {
  assert.ok(RECIPES.length >= 15, "the documents show programs");
  for (const { name, text } of RECIPES) assert.equal(ellipsis(text), null, name);
  for (const hole of ["f(…);", "f(...)", "...\n", "// ...", "{ ... }"]) assert.ok(ellipsis(hole), hole);
  for (const whole of ["[...all]", "f(...args)", "{ ...rest }", "(...a: string[])"]) assert.equal(ellipsis(whole), null, whole);
});

describe("recipes", { timeout: 400_000 }, () => {
  const suite = new Suite();
  let path, server, chromium, ann, bob, pages;

  /** The file that a program is pasted into. */
  const fileOf = (recipe) => `recipe${RECIPES.indexOf(recipe)}.${EXTENSIONS[kindOf(recipe)]}`;

  before(async () => {
    path = await project(suite, await packed(suite));
    // Whatever Vite finds only when a page asks for it makes it load the page anew, in the middle of a test.
    const specifiers = RECIPES.filter((recipe) => ["page", "react"].includes(kindOf(recipe)))
      .flatMap(({ text }) => [...text.matchAll(/\bfrom "([^"./][^"]*)"/g)].map(([, specifier]) => specifier));
    const config = { optimizeDeps: { include: [...new Set(specifiers)] } };
    writeFileSync(join(path, "vite.config.mjs"), `export default ${JSON.stringify(config)};\n`);
    const { address } = await dev(suite, path, process.execPath, [vite(path), "--port", "0", "--clearScreen", "false"]);
    pages = address;
    server = await Server.start(suite, { FANFARE__HTTP__CORS_ORIGINS: address, FANFARE__AUTH__JWT_HS256_SECRET: SECRET });
    chromium = await browser(suite);
    ann = await server.person("ann");
    bob = await server.person("bob");
    await ann.users.follow("@bob");
    await bob.users.follow("@ann");
    for (const recipe of RECIPES) {
      const file = fileOf(recipe);
      // A file without imports would be no module, and its names would be everybody's.
      const module = /\bimport\b|\brequire\b/.test(recipe.text) ? "" : "export {};\n";
      writeFileSync(join(path, file), forServer(recipe.text, server.base) + module);
      if (/^export const client/m.test(recipe.text)) writeFileSync(join(path, "client.ts"), forServer(recipe.text, server.base));
      const script = `import("/${file}").then((recipe) => (window.recipe = recipe));`;
      const html = `<!doctype html><link rel="icon" href="data:,"><body><ul></ul><script type="module">${script}</script>`;
      writeFileSync(join(path, `${file}.html`), html);
    }
  });
  after(() => suite.end());

  test("compile in strict projects", async () => {
    const shared = { target: "ES2022", strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, skipLibCheck: true };
    const kinds = {
      page: { module: "ESNext", moduleResolution: "Bundler", lib: ["ES2022", "DOM", "DOM.Iterable"], types: [], jsx: "react-jsx", noEmit: true },
      node: { module: "NodeNext", lib: ["ES2022", "DOM"], types: ["node"], allowJs: true, checkJs: true, outDir: "out" },
    };
    for (const [kind, options] of Object.entries(kinds)) {
      const mine = RECIPES.filter((recipe) => ["page", "react"].includes(kindOf(recipe)) === (kind === "page"));
      const config = { compilerOptions: { ...shared, ...options }, files: mine.map(fileOf) };
      writeFileSync(join(path, `tsconfig.recipes.${kind}.json`), JSON.stringify(config));
      await compile(path, `tsconfig.recipes.${kind}.json`);
    }
  });

  /** What a recipe of the SDK's README must have done; the others must run without a fault. */
  const CHECKS = {
    [`${QUICK_START} 0`]: (recipe) => assert.ok(recipe, "followed below, with the demo's account"),
    "Calls 0": async ({ printed }) => {
      assert.ok(printed.includes("bob") && printed.some((line) => line.includes("must not be empty")), `${printed}`);
    },
    "Realtime 0": async ({ printed }) => {
      assert.ok(printed.some((line) => line.startsWith("open websocket")) && printed.some((line) => /^\d+ ms/.test(line)), `${printed}`);
    },
    "How it falls back 0": ({ printed }) => assert.deepEqual(printed, ["carried by websocket"]),
    "How it falls back 1": ({ printed }) => assert.match(printed[0], /^\d+ posts$/),
    "Log in, log out 0": async ({ page, printed }) => {
      const carol = await server.person("carol");
      assert.equal(await page.evaluate((p) => window.recipe.logIn("carol", p), "wrong horse"), "These do not belong together");
      assert.equal(await page.evaluate((p) => window.recipe.logIn("carol", p), PASSWORD), "Hello carol");
      await connected(carol, "websocket");
      await bob.posts.like((await carol.posts.create({ text: "like me" })).id);
      await until(() => printed.includes("bob: like"), () => `${printed}`);
      await page.evaluate(() => window.recipe.logOut());
    },
    "A post with a picture 0": async ({ page }) => {
      await asAnn(page);
      const width = await page.evaluate(async () => {
        const canvas = Object.assign(document.createElement("canvas"), { width: 5, height: 4 });
        canvas.getContext("2d").fillRect(0, 0, 1, 1);
        const file = await new Promise((resolve) => canvas.toBlob(resolve));
        const image = await window.recipe.postPicture(file, "look", "a corner");
        await image.decode();
        return image.naturalWidth;
      });
      assert.equal(width, 5);
      assert.equal((await ann.users.posts("@ann")).items[0].media[0].alt, "a corner");
    },
    "Search while somebody types 0": async ({ page }) => {
      await asAnn(page);
      const found = await page.evaluate(async () => {
        const first = window.recipe.search("b").catch((error) => error.name);
        const second = await window.recipe.search("bo");
        return [await first, second.map((user) => user.handle)];
      });
      assert.deepEqual(found, ["AbortError", ["bob"]]);
    },
    "A page that survives reloads 0": async ({ page, printed }) => {
      await page.evaluate((p) => window.recipe.logIn("ann", p), PASSWORD);
      await page.evaluate(() => window.recipe.realtime.opened());
      await bob.posts.create({ text: "before the reload" });
      await until(() => printed.includes("before the reload"), () => `${printed}`);
      await page.goto("about:blank");
      await bob.posts.create({ text: "while nobody looked" });
      await page.goBack();
      await until(() => printed.includes("while nobody looked"), () => `${printed}`);
    },
    "A thread 0": async ({ page }) => {
      await asAnn(page);
      const first = await bob.posts.create({ text: "first" });
      const answer = await bob.posts.create({ text: "second", reply_to: first.id });
      await bob.posts.delete(first.id);
      const lines = await page.evaluate((id) => window.recipe.thread(id), answer.id);
      assert.deepEqual(lines, ["This post was deleted.", "bob: second"]);
    },
    "After a gap or a reset 0": async ({ page }) => {
      // The first page of the feed is read anew: more than the two posts that were pushed.
      for (const text of ["older", "old"]) await bob.posts.create({ text });
      await away(page, "nobodys", 1);
      await until(() => page.evaluate(() => window.recipe.shown.size > 2), "the feed was read anew");
    },
    "After a gap or a reset 1": async ({ page }) => {
      // More than a resume brings.
      const [missed] = await away(page, null, 540);
      await until(() => page.evaluate((id) => window.recipe.filled.some((item) => item.id === id), missed), "what was missed");
    },
    "A chat 0": async ({ page }) => {
      const id = await page.evaluate(() => window.recipe.talkTo("bob"));
      await page.evaluate((of) => void window.recipe.show(of, document.querySelector("ul")), id);
      await page.evaluate((of) => void window.recipe.say(of, "from the page"), id);
      await page.waitForSelector("li[data-state=sent]:has-text('from the page')");
      await bob.conversations.send(id, { client_id: "back", kind: "text", text: "and back" });
      await page.waitForSelector("li[data-state=theirs]:has-text('and back')");
      const read = async () => (await bob.conversations.receipts(id).take(9)).some((one) => one.user_id === ann.user.id && one.read_seq === 2);
      await until(read, "the mark of who looked");
      const dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
      const bytes = [...Buffer.from(dot, "base64")];
      const send = ([of, bytes]) => void window.recipe.sayWith(of, new File([new Uint8Array(bytes)], "dot.png"), "a dot");
      await page.evaluate(send, [id, bytes]);
      await page.waitForFunction(() => [...document.querySelectorAll("li img")].some((image) => image.naturalWidth === 1));
    },
    "React 0": async ({ page }) => {
      await page.waitForSelector("main[data-status=open]", { state: "attached" });
      await bob.posts.create({ text: "for React" });
      await page.waitForSelector("text=for React");
    },
    "An agent on Node 0": async ({ printed }) => {
      await connected(ann, "sse");
      const post = await bob.posts.create({ text: "hello @ann" });
      await until(async () => (await bob.posts.replies(post.id)).items.some((reply) => reply.text === "I heard you"), () => `${printed}`);
    },
    "Your own backend's accounts 0": async ({ page, asked }) => {
      await page.evaluate(() => window.recipe.realtime.opened());
      assert.equal(asked.length, 2, "the expired token was renewed once");
    },
  };

  /** Logs the client of a page's recipe in. */
  const asAnn = (page) => page.evaluate((p) => import("/client.ts").then(({ client }) => client.accounts.logIn("ann", p)), PASSWORD);

  /** Waits for a session of this person. */
  async function connected({ user }, transport) {
    const there = async () => (await server.admin().admin.sessions({ user_id: user.id, limit: 100 })).items;
    await until(async () => (await there()).some((session) => session.transport === transport), () => `${user.handle} by ${transport}`);
  }

  /**
   * Logs a page in, ends its session, and has it come back after so many posts, with another cursor in place of its own
   * if that is given. Answers the posts' ids, oldest first.
   */
  async function away(page, cursor, count) {
    await page.evaluate(
      async ([password, cursor]) => {
        const { client } = await import("/client.ts");
        await client.accounts.logIn("ann", password);
        await window.recipe.realtime.opened();
        window.recipe.realtime.on("feed.posts", ({ items }) => (window.heard = items[0].id));
        const held = new Promise((resolve) => (window.letGo = resolve));
        const ask = window.fetch;
        window.fetch = async (url, init) => (String(url).includes("/realtime/tickets") && (await held), ask(url, init));
        window.mangle = (url) => (cursor ? String(url).replace(/cursor=[^&]+/, `cursor=${cursor}`) : url);
      },
      [PASSWORD, cursor],
    );
    const known = await bob.posts.create({ text: "known" });
    await until(() => page.evaluate((id) => window.heard === id, known.id), "the first post");
    const { admin } = server.admin();
    for await (const session of admin.sessions({ user_id: ann.user.id })) await admin.closeSession(session.session_id);
    await until(() => page.evaluate(() => window.recipe.realtime.state.status !== "open"), "the end of the session");
    const ids = [];
    while (ids.length < count) {
      const some = Array.from({ length: Math.min(30, count - ids.length) }, () => bob.posts.create({ text: "missed" }));
      ids.push(...(await Promise.all(some)).map((post) => post.id));
    }
    await page.evaluate(() => window.letGo());
    return ids;
  }

  const nodePrograms = [];
  for (const recipe of RECIPES) {
    const check = CHECKS[recipe.document === README ? recipe.place : recipe.name] ?? (() => {});
    const kind = kindOf(recipe);
    if (kind === "node" || kind === "required") nodePrograms.push({ recipe, check });
    else test(`${recipe.name} runs in a page`, (t) => inPage(t, recipe, check));
  }
  for (const { recipe, check } of nodePrograms) test(`${recipe.name} runs in Node`, (t) => inNode(t, recipe, check));

  async function inPage(t, recipe, check) {
    if (recipe.heading === QUICK_START) return check(recipe);
    const context = await chromium.newContext();
    t.after(() => context.close());
    // Sockets whose address a test may change.
    await context.addInitScript(() => {
      const Socket = window.WebSocket;
      window.WebSocket = class extends Socket {
        constructor(url, ...rest) {
          super(window.mangle?.(url) ?? url, ...rest);
        }
      };
    });
    const asked = [];
    await context.route("**/my-backend/token", (route) => {
      asked.push(route.request().url());
      return route.fulfill({ body: jwt("customer-17", asked.length === 1 ? -3_600 : 3_600) });
    });
    const opened = await open(context, `${pages}/${fileOf(recipe)}.html`);
    await check({ ...opened, asked });
    assert.deepEqual(opened.wrong, [], recipe.name);
  }

  async function inNode(t, recipe, check) {
    const file = fileOf(recipe).replace(/ts$/, "js");
    const cwd = folder(t);
    const env = { ...process.env, FANFARE_TOKEN: ann.token, NODE_OPTIONS: "" };
    const child = spawn(process.execPath, [join(path, "out", file)], { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    const printed = [];
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => printed.push(...String(data).trim().split("\n")));
    const ended = new Promise((resolve) => child.once("exit", (code, signal) => resolve(code ?? signal)));
    t.after(() => child.kill("SIGKILL"));
    const forever = recipe.text.includes('process.on("SIGTERM"');
    if (!forever) assert.equal(await ended, 0, `${recipe.name}: ${printed}`);
    await check({ printed });
    if (!forever) return;
    child.kill("SIGTERM");
    assert.equal(await ended, 0, `${printed}`);
  }
});

test("the quick start, followed as it is written, shows a feed that moves", { timeout: 300_000 }, async (t) => {
  const home = folder(t);
  cloned(join(home, "fanfare/sdk/typescript"));
  const steps = blocks(README).filter((block) => block.heading === QUICK_START);
  const [prepare, serve] = steps.filter((block) => block.language === "sh");
  const env = { npm_config_prefer_offline: "true", npm_config_audit: "false", npm_config_fund: "false", npm_config_loglevel: "error" };
  await execute(home, "bash", ["-euc", prepare.text], env);
  const app = join(home, "my-feed");
  mkdirSync(app, { recursive: true });
  writeFileSync(join(app, "index.html"), steps.find((block) => block.language === "html").text);
  const { address } = await dev(t, app, "bash", ["-c", serve.text]);
  // The server that the quick start names, with no setting of ours: another origin is let in because it is localhost.
  const base = await demo(t);
  writeFileSync(join(app, "main.ts"), forServer(steps.find((block) => block.language === "ts").text, base));
  const chromium = await browser(t);
  const page = await chromium.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(error.message));
  await page.goto(address);
  const lines = () => page.evaluate(() => [...document.querySelectorAll("li")].map((item) => item.textContent));
  await until(async () => (await lines()).length >= 20, () => `the feed: ${wrong}`, 60_000);
  const person = new Client({ baseUrl: base });
  await person.accounts.logIn("demo", "fanfare-demo");
  await person.posts.create({ text: "posted elsewhere" });
  await until(async () => (await lines()).some((line) => line.endsWith(": posted elsewhere")), "what is posted now");
  assert.deepEqual(wrong, []);
});
