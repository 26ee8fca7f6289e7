// The example app, built as its README says and clicked through by two people, in pages of another origin than the server's.
import assert from "node:assert/strict";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Client } from "../dist/index.js";
import { browser, folder, PASSWORD, Server, staticFiles, until } from "./harness.mjs";
import { compile, execute, PACKAGE, vite } from "./project.mjs";

const APP = join(PACKAGE, "../../examples/app");

/** The app's files, made for a server at `base`. */
async function built(t, base) {
  await compile(APP, "tsconfig.json");
  const out = join(folder(t), "dist");
  const args = [vite(APP), "build", "--logLevel=error", "--emptyOutDir", "--outDir", out];
  await execute(APP, process.execPath, args, { VITE_FANFARE: base });
  return out;
}

test("the example app: an account, a follow, posts, likes, replies and the bell, by themselves", { timeout: 240_000 }, async (t) => {
  // The app needs the server's address and the server the app's: the files are put where they are served from afterwards.
  const root = folder(t);
  const files = await staticFiles(t, join(root, "app"));
  const origin = `http://localhost:${files.port}`;
  const server = await Server.start(t, { FANFARE__HTTP__CORS_ORIGINS: origin });
  symlinkSync(await built(t, server.base), join(root, "app"));
  const chromium = await browser(t);
  const faults = [];

  async function visitor(handle, viewport) {
    const context = await chromium.newContext({ viewport });
    t.after(() => context.close());
    const page = await context.newPage();
    page.on("pageerror", (error) => faults.push(`${handle}: ${error.message}`));
    await page.goto(origin);
    return page;
  }
  const say = async (page, text) => {
    await page.getByLabel("What is new?").fill(text);
    await page.getByRole("button", { name: "Post", exact: true }).click();
  };
  const entry = (page, text) => page.locator("article", { hasText: text });
  const bell = (page) => page.getByRole("button", { name: /^Notifications/ });
  const connected = (page) => page.locator('[data-testid="connection"].open').waitFor();

  const ann = await visitor("ann", { width: 1000, height: 800 });
  await ann.getByRole("button", { name: "I am new here" }).click();
  await ann.getByLabel("Handle").fill("ann");
  await ann.getByLabel("Password").fill(PASSWORD);
  await ann.getByRole("button", { name: "Make an account" }).click();
  await connected(ann);
  await say(ann, "Hello from Ann");
  await entry(ann, "Hello from Ann").waitFor();

  // A phone; and somebody who has an account, but mistypes.
  await server.person("bob");
  const bob = await visitor("bob", { width: 360, height: 740 });
  await bob.getByLabel("Handle").fill("bob");
  await bob.getByLabel("Password").fill("wrong horse battery");
  await bob.getByRole("button", { name: "Log in" }).click();
  await bob.getByText("That is not the password of this handle.").waitFor();
  await bob.getByLabel("Password").fill(PASSWORD);
  await bob.getByRole("button", { name: "Log in" }).click();
  await connected(bob);
  await bob.getByText("Nothing here yet").waitFor();

  // Following brings what was there; the feed then moves by itself.
  await bob.getByLabel("Find people").fill("ann");
  await bob.getByRole("button", { name: "Follow @ann", exact: true }).click();
  await entry(bob, "Hello from Ann").waitFor();
  await ann.getByRole("button", { name: "Notifications, 1 new" }).waitFor();
  await say(ann, "This comes by itself");
  await entry(bob, "This comes by itself").waitFor();
  const order = await bob.locator("article .text").allTextContents();
  assert.deepEqual(order, ["This comes by itself", "Hello from Ann"]);

  await entry(bob, "Hello from Ann").getByLabel("Like").click();
  await entry(bob, "Hello from Ann").getByText("♥ 1").waitFor();
  await entry(bob, "Hello from Ann").getByLabel("Reply").click();
  await bob.getByLabel("Answer @ann").fill("Hello from a phone");
  await bob.getByRole("button", { name: "Reply", exact: true }).last().click();
  await entry(bob, "Hello from a phone").waitFor();

  await ann.getByRole("button", { name: "Notifications, 3 new" }).waitFor();
  await bell(ann).click();
  for (const text of ["bob follows you", "bob likes your post", "bob answered"]) await ann.getByText(text).waitFor();
  await ann.getByRole("button", { name: "Notifications, 0 new" }).waitFor();
  await bell(ann).click();

  // Nothing is wider than the phone, nor beside it.
  await bell(bob).click();
  const list = await bob.locator(".bell ol").boundingBox();
  assert.ok(list.x >= 0 && list.x + list.width <= 360, JSON.stringify(list));
  await bell(bob).click();
  const wide = await bob.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(wide, 0, "no sideways scrolling");

  // A deletion is seen at once, and a reload keeps who is logged in.
  await entry(ann, "This comes by itself").getByRole("button", { name: "Delete" }).click();
  await until(async () => (await entry(bob, "This comes by itself").count()) === 0, "the deletion");
  await ann.reload();
  await entry(ann, "Hello from Ann").waitFor();
  await connected(ann);

  // Out, and in as somebody else, in the same page.
  await ann.getByRole("button", { name: "Log out @ann" }).click();
  await ann.getByLabel("Handle").fill("bob");
  await ann.getByLabel("Password").fill(PASSWORD);
  await ann.getByRole("button", { name: "Log in" }).click();
  await connected(ann);
  await entry(ann, "Hello from a phone").waitFor();

  // An account that goes takes its posts with it, on the screens that show them.
  const leaving = new Client({ baseUrl: server.base });
  await leaving.accounts.logIn("ann", PASSWORD);
  await leaving.accounts.delete();
  await until(async () => (await entry(bob, "Hello from Ann").count()) === 0, "the end of an account");
  await entry(bob, "Hello from a phone").waitFor();
  assert.deepEqual(faults, []);
});
