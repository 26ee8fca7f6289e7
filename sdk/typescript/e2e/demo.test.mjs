// The page of `fanfare demo` as its visitor has it: clicked in a browser, in front of the real server.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { card, demo, openDemo, say } from "./demo.mjs";
import { browser, Suite, until } from "./harness.mjs";

const TRANSPORTS = "(WebSocket|SSE|long poll|short poll)";
const ARRIVED = new RegExp(`^arrived in [\\d,]+ ms by ${TRANSPORTS}$`);

describe("the demo's page", { timeout: 400_000 }, () => {
  const suite = new Suite();
  let base, chromium, context, page, complaints;

  before(async () => {
    [chromium, base] = await Promise.all([browser(suite), demo(suite)]);
  });
  after(() => suite.end());
  beforeEach(async () => {
    context = await chromium.newContext({ viewport: { width: 1280, height: 800 } });
    context.setDefaultTimeout(20_000);
    ({ page, complaints } = await openDemo(context, base));
  });
  afterEach(async () => {
    await context.close();
    assert.deepEqual(complaints, [], "the console stays silent");
  });

  const text = (locator) => locator.innerText();
  const unread = async (who) => Number((await page.locator(`#${who} .unread`).textContent()).replace("+", "") || 0);
  const onceEach = async (who, expected) => {
    const shown = await page.locator(`#${who} .feed > li > .text`).allInnerTexts();
    assert.deepEqual(shown.filter((one) => expected.includes(one)), [...expected].reverse(), "each once, newest first");
  };

  test("shows what one person posts to the other, with the time and the transport that it took", async () => {
    const said = await say(page, "demo", `Do you hear me? ${Date.now()}`);
    const arrived = card(page, "friend", said);
    await arrived.locator(".arrival.now").waitFor();
    assert.match(await text(arrived.locator(".arrival")), ARRIVED);
    assert.match(await text(page.locator("#headline")), /Ada posted/);
    assert.match(await text(page.locator("#took")), new RegExp(`^[\\d,]+ ms\\s+by ${TRANSPORTS}$`));
    assert.equal(await text(page.locator("#step-post .tick")), "done");
    // A post of one's own has not travelled.
    assert.equal(await card(page, "demo", said).locator(".arrival").isVisible(), false);
    const answer = await say(page, "friend", `Loud and clear. ${Date.now()}`);
    await card(page, "demo", answer).locator(".arrival.now").waitFor();
    assert.match(await text(page.locator("#headline")), /Ben posted/);
  });

  test("rings the bell of one person when the other likes, replies and follows", async () => {
    const said = await say(page, "demo", `Like this. ${Date.now()}`);
    const before = await unread("demo");
    await card(page, "friend", said).getByRole("button", { name: /Like/ }).click();
    const latest = page.locator("#demo .latest");
    await page.waitForFunction(() => /Ben.* liked your post “Like this/.test(document.querySelector("#demo .latest").textContent));
    assert.match(await text(latest.locator(".arrival")), ARRIVED);
    await until(async () => (await unread("demo")) > before, "the bell to count");
    // The town may like it too.
    assert.match(await text(card(page, "demo", said).getByRole("button", { name: /Like/ })), /· [1-9]/);
    assert.equal(await text(page.locator("#step-bell .tick")), "done");

    await card(page, "friend", said).getByRole("button", { name: /Reply/ }).click();
    await card(page, "friend", said).getByLabel("Reply to Ada").fill("With pleasure.");
    await card(page, "friend", said).getByRole("button", { name: "Send" }).click();
    await page.waitForFunction(() => /Ben.* replied to you “With pleasure/.test(document.querySelector("#demo .latest").textContent));
    await card(page, "demo", "With pleasure.").waitFor();

    const follow = page.locator("#friend .follow");
    await follow.click();
    await page.waitForFunction(() => document.querySelector("#friend .follow").textContent === "Follow Ada");
    await follow.click();
    await page.waitForFunction(() => document.querySelector("#friend .follow").textContent === "Following Ada");

    await page.locator("#demo .bell").click();
    await page.locator("#demo .news li").first().waitFor();
    await until(async () => (await unread("demo")) < 3, "the bell to be read");
    assert.match(await text(page.locator("#demo .news")), /Ben.* replied to you/);
  });

  test("carries what one says in the chat to the other, with receipts, also over a network that was cut", async () => {
    for (const who of ["demo", "friend"]) await page.locator(`#${who} .tab.chat`).click();
    const line = (who, words) => page.locator(`#${who} .line`, { hasText: words });
    const tell = async (who, words) => {
      await page.locator(`#${who} .talk input`).fill(words);
      await page.locator(`#${who} .talk`).getByRole("button", { name: "Send" }).click();
    };
    const [first, second, third] = ["Are you there?", "While you are away", "Yes, I am"].map((words) => `${words} ${Date.now()}`);
    await tell("demo", first);
    assert.match(await text(line("friend", first).locator(".how", { hasText: "arrived" })), ARRIVED);
    await line("demo", first).locator(".how", { hasText: /^read$/ }).waitFor();
    assert.match(await text(page.locator("#headline")), /Ada wrote/);
    await page.locator("#demo .switch").click();
    await tell("demo", second);
    await line("demo", second).locator(".how", { hasText: "waits for the network" }).waitFor();
    await tell("friend", third);
    assert.equal(await line("friend", second).count(), 0);
    await page.locator("#demo .switch").click();
    for (const [who, words] of [["friend", second], ["demo", third]]) {
      await line(who, words).waitFor();
      assert.equal(await line(who, words).count(), 1, words);
    }
    // Groups of the town are there too.
    await page.locator("#demo .rooms").getByRole("button", { name: /Friday dinner/ }).click();
    await page.locator("#demo .line", { hasText: "Who is in for Friday?" }).waitFor();
  });

  test("loses nothing and doubles nothing while the network of one is cut", async () => {
    const first = await say(page, "demo", `Before the cut. ${Date.now()}`);
    await card(page, "friend", first).waitFor();
    const network = page.getByRole("switch", { name: "Ben's network" });
    await network.click();
    assert.equal(await network.getAttribute("aria-checked"), "false");
    // The way down the ladder is shown, as far as there is one.
    await page.locator("#friend .rungs .failed", { hasText: "WebSocket" }).waitFor();
    await page.locator("#friend .rungs .next", { hasText: "long poll" }).waitFor();
    const missed = [];
    for (const number of [1, 2, 3]) {
      missed.push(await say(page, "demo", `Missed ${number}. ${Date.now()}`));
      await card(page, "demo", missed.at(-1)).waitFor();
    }
    assert.equal(await card(page, "friend", "Missed 1.").count(), 0);
    await say(page, "friend", "Nobody hears this.");
    await page.waitForFunction(() => /no network/.test(document.querySelector("#friend .note").textContent));

    await network.click();
    const caught = page.locator("#friend .caught");
    await caught.waitFor();
    const words = await text(caught);
    assert.match(words, /^Away for [\d.]+ s, missed \d+ posts.*: all caught up in [\d,]+ ms\. Nothing lost, nothing twice\.$/);
    assert.ok(Number(await caught.getAttribute("data-came")) >= 3, words);
    assert.equal(await caught.getAttribute("data-came"), await caught.getAttribute("data-missed"));
    assert.match(await text(card(page, "friend", "Missed 2.").locator(".arrival")), /^missed while cut off, caught up by/);
    await page.locator("#friend[data-transport=websocket]").waitFor();
    const last = await say(page, "demo", `Live again. ${Date.now()}`);
    await card(page, "friend", last).locator(".arrival.now").waitFor();
    await onceEach("friend", [first, ...missed, last]);
    assert.equal(await text(page.locator("#step-cut .tick")), "done");
  });

  test("goes down the ladder when a transport is blocked, and climbs when it is let through", async () => {
    const rung = (name) => page.locator("#friend .rungs").getByRole("button", { name, exact: true });
    const heard = [];
    for (const [blocked, carries] of [["WebSocket", "SSE"], ["SSE", "long poll"], ["long poll", "short poll"]]) {
      await rung(blocked).click();
      await page.locator("#friend .rungs .open", { hasText: carries }).waitFor();
      heard.push(await say(page, "demo", `By ${carries}. ${Date.now()}`));
      const arrival = card(page, "friend", heard.at(-1)).locator(".arrival.now");
      await arrival.waitFor();
      assert.match(await text(arrival), new RegExp(` by ${carries}$`));
    }
    for (const name of ["WebSocket", "SSE", "long poll"]) await rung(name).click();
    await page.locator("#friend .rungs .open", { hasText: "WebSocket" }).waitFor();
    heard.push(await say(page, "demo", `Up again. ${Date.now()}`));
    await card(page, "friend", heard.at(-1)).locator(".arrival.now").waitFor();
    await onceEach("friend", heard);
  });

  test("shows the engine's work in words, and lets the town be quiet", async () => {
    await page.locator("#engine[data-ready]").waitFor();
    for (const way of ["pushed", "late", "pulled"]) {
      assert.match(await text(page.locator(`#tier-${way} .figures`)), /^[\d,]+ posts → [\d,]+ timeline entries$/);
    }
    assert.ok(Number((await text(page.locator("#timelines"))).replaceAll(",", "")) > 50);
    await page.locator("#demo .way.pushed, #demo .way.late, #demo .way.pulled").first().waitFor();
    const ways = (await page.locator("#demo .way, #friend .way").allInnerTexts()).filter((words) => words !== "");
    for (const words of ways) assert.match(words, /^(pushed at once|pushed late|pulled when read) · [\d,]+ followers?$/);
    const whole = await page.locator("body").innerText();
    assert.ok(!/push_late|long_poll|short_poll|undefined|NaN|\[object/.test(whole), whole);

    const quiet = page.getByRole("button", { name: "Pause the town" });
    await quiet.click();
    const said = await say(page, "friend", `Quiet, please. ${Date.now()}`);
    await card(page, "demo", said).waitFor();
    await page.waitForFunction(() => /^[1-9]\d* posts? of others/.test(document.querySelector("#demo .held").textContent));
    assert.match(await text(page.locator("#demo .feed > li").first()), /Quiet, please/);
    await page.getByRole("button", { name: "Let the town go on" }).click();
    await page.waitForFunction(() => !document.querySelector("#demo .feed > li").textContent.includes("Quiet, please"));
  });

  test("fits a phone, with the engine in sight", async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    await page.locator("#engine[data-ready]").waitFor();
    const said = await say(page, "demo", `From a phone. ${Date.now()}`);
    await card(page, "friend", said).locator(".arrival.now").waitFor();
    const { wide, engine } = await page.evaluate(() => ({
      wide: [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.classList.contains("unseen")).map((one) => one.outerHTML.slice(0, 90)),
      engine: document.getElementById("engine").getBoundingClientRect().toJSON(),
    }));
    assert.deepEqual(wide, []);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    assert.ok(engine.top >= 0 && engine.bottom < 844, JSON.stringify(engine));
    for (const seen of ["#took", "#tier-pushed .figures", "#tier-pulled .figures", "#timelines"]) assert.ok(await page.locator(seen).isVisible(), seen);
    // It stays in sight while one scrolls to the other person.
    await page.locator("#friend .compose button").scrollIntoViewIfNeeded();
    assert.ok(await page.locator("#timelines").evaluate((one) => one.getBoundingClientRect().top >= 0));
  });

  test("can be used with the keyboard alone", async () => {
    await page.locator("#demo .compose input").focus();
    await page.keyboard.press("ControlOrMeta+A");
    await page.keyboard.type("By keyboard.");
    await page.keyboard.press("Enter");
    const arrived = card(page, "friend", "By keyboard.").first();
    await arrived.waitFor();
    await page.locator("#friend .switch").focus();
    await page.keyboard.press("Space");
    await page.locator("#friend .switch[aria-checked=false]").waitFor();
    await page.keyboard.press("Space");
    await page.locator("#friend[data-status=open]").waitFor();
    const nameless = await page.evaluate(() => [...document.querySelectorAll("button, input, [role=meter], [role=switch]")].filter((one) => {
      const label = one.getAttribute("aria-label") ?? one.closest("label")?.textContent ?? one.textContent;
      return one.offsetParent !== null && !label.trim();
    }).map((one) => one.outerHTML));
    assert.deepEqual(nameless, []);
  });
});
