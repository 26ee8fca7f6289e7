// The page of the API in a real browser: who gives it a token can try the calls, and the token goes with the page.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { browser, Server } from "./harness.mjs";

/** Opens the call under "Try it out", sends it, and waits for its answer: `[status, text]`. */
async function answer(page, id) {
  const call = page.locator(`[id$="-${id}"]`);
  const open = call.locator(".opblock-body");
  if ((await open.count()) === 0) await call.locator(".opblock-summary-control").click();
  await call.locator("button.execute").click();
  const live = call.locator(".live-responses-table .response");
  await live.waitFor();
  const status = await live.locator(".response-col_status").innerText();
  return [status.trim(), await live.locator(".response-col_description").innerText()];
}

/** Gives a token to one of the schemes. */
async function authorize(page, scheme, token) {
  await page.locator("button.authorize").first().click();
  const dialog = page.locator(".modal-ux");
  const form = dialog.locator(".auth-container", { has: page.getByText(`${scheme} (http`) });
  await form.locator("input").fill(token);
  await form.locator("button.authorize").click();
  await form.locator("button", { hasText: "Logout" }).waitFor();
  await form.locator("button.btn-done").click();
}

test("the API's page sends the token that was given under Authorize, and forgets it", { timeout: 300_000 }, async (t) => {
  const server = await Server.start(t);
  const ada = await server.person("ada");
  const chromium = await browser(t);
  const page = await chromium.newPage();
  const refused = [];
  page.on("console", (message) => {
    if (/Content.Security.Policy/i.test(message.text())) refused.push(message.text());
  });
  const open = async () => {
    await page.goto(`${server.base}/docs/`);
    await page.locator("#swagger-ui .opblock").first().waitFor();
  };
  await open();

  const [without] = await answer(page, "people_get_me");
  assert.equal(without, "401");
  await authorize(page, "bearer", ada.token);
  const [status, text] = await answer(page, "people_get_me");
  assert.equal(status, "200", text);
  assert.match(text, /"handle": "ada"/);
  // A call that anybody may make says more to who has a token.
  const asked = page.waitForRequest((request) => request.url().includes("/v1/posts?scope=public"));
  await answer(page, "posts_list_public");
  assert.equal((await asked).headers().authorization, `Bearer ${ada.token}`);

  // Nothing of it stays in the browser.
  await open();
  assert.deepEqual(await page.evaluate(() => Object.values({ ...localStorage, ...sessionStorage })), []);
  assert.equal((await answer(page, "people_get_me"))[0], "401");

  // An operator's call takes the operator's token.
  await authorize(page, "admin", readFileSync(join(server.data, "admin.token"), "utf8").trim());
  assert.equal((await answer(page, "operators_get_status"))[0], "200");
  assert.deepEqual(refused, [], "the page wants what its policy forbids");
});
