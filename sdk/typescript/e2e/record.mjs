// Records the demo's page as an animated picture: the story that its three steps tell, played in Chromium by a pointer that
// one can see. Usage: node e2e/record.mjs FRAMES_FOLDER STILL.png; prints the arguments for img2webp, frame by frame.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { card, demo, openDemo } from "./demo.mjs";
import { browser } from "./harness.mjs";

const SIZE = { width: 1280, height: 800 };
/** Milliseconds: a frame is kept at most as often, and the last one stays a while before the picture begins anew. */
const FRAME_MS = 90;
const LAST_MS = 2000;

const ends = [];
const t = { after: (end) => ends.unshift(end) };
const pause = (ms) => new Promise((wake) => setTimeout(wake, ms));

/** Puts a pointer on the page, which the page knows nothing of. */
async function pointer(page) {
  await page.evaluate(() => {
    const dot = document.createElement("div");
    Object.assign(dot.style, {
      position: "fixed", left: "640px", top: "420px", width: "22px", height: "22px", margin: "-11px", borderRadius: "50%", zIndex: 9,
      background: "rgba(20, 20, 20, .45)", border: "2px solid #fff", boxShadow: "0 1px 5px rgba(0, 0, 0, .5)", pointerEvents: "none",
      transition: "left .4s ease-in-out, top .4s ease-in-out, transform .12s",
    });
    document.documentElement.append(dot);
    window.pointTo = (x, y) => Object.assign(dot.style, { left: `${x}px`, top: `${y}px` });
    window.press = (down) => (dot.style.transform = down ? "scale(.6)" : "");
  });
  return async (locator) => {
    const box = await locator.boundingBox();
    const [x, y] = [box.x + Math.min(box.width / 2, 120), box.y + box.height / 2];
    await page.evaluate(([left, top]) => window.pointTo(left, top), [x, y]);
    await pause(480);
    await page.evaluate(() => window.press(true));
    await pause(120);
    await locator.click();
    await page.evaluate(() => window.press(false));
  };
}

/** Takes pictures until it is told to stop; what looks like the one before lengthens it. */
function film(page, folder) {
  const frames = [];
  let going = true;
  const ended = (async () => {
    while (going) {
      const at = Date.now();
      const bytes = await page.screenshot({ type: "png" });
      const last = frames.at(-1);
      if (!last?.bytes.equals(bytes)) frames.push({ at, bytes });
      await pause(Math.max(0, FRAME_MS - (Date.now() - at)));
    }
    const end = Date.now();
    return frames.flatMap(({ at, bytes }, index) => {
      const path = join(folder, `${String(index).padStart(4, "0")}.png`);
      writeFileSync(path, bytes);
      const ms = index + 1 < frames.length ? frames[index + 1].at - at : end - at + LAST_MS;
      return ["-d", String(Math.max(20, ms)), path];
    });
  })();
  return () => {
    going = false;
    return ended;
  };
}

async function story(page) {
  const click = await pointer(page);
  const $ = (selector) => page.locator(selector);
  const type = async (who, text) => {
    await $(`#${who} .compose input`).fill("");
    await click($(`#${who} .compose input`));
    await page.keyboard.type(text, { delay: 20 });
    await click($(`#${who} .compose button`));
    await card(page, who, text).first().waitFor();
  };
  await pause(1000);
  await type("demo", "Hello Ben! Can you see this?");
  await card(page, "friend", "Hello Ben!").locator(".arrival.now").first().waitFor();
  await pause(1600);
  await click(card(page, "friend", "Hello Ben!").first().getByRole("button", { name: /Like/ }));
  await pause(1500);
  await click($("#friend .switch"));
  await pause(400);
  await type("demo", "The ferry is on time today.");
  await type("demo", "Coffee at four, usual place?");
  await pause(600);
  await click($("#friend .switch"));
  await $("#friend .caught").waitFor();
  await pause(2200);
  await $("#friend[data-transport=websocket]").waitFor();
  await type("friend", "Nothing got lost, how nice.");
  await card(page, "demo", "Nothing got lost").locator(".arrival.now").first().waitFor();
  await pause(600);
}

const [folder, still] = process.argv.slice(2);
try {
  const [chromium, base] = [await browser(t), await demo(t)];
  const context = await chromium.newContext({ viewport: SIZE, colorScheme: "light" });
  const { page, complaints } = await openDemo(context, base);
  await page.locator("#engine[data-ready]").waitFor();
  const stop = film(page, folder);
  await story(page);
  const list = await stop();
  if (still) writeFileSync(still, await page.screenshot({ type: "png" }));
  if (complaints.length > 0) throw new Error(`the page complains: ${complaints.join("; ")}`);
  console.log(list.join("\n"));
  await context.close();
} finally {
  for (const end of ends) await end();
}
