// `fanfare demo` and its page in a browser, for the tests of the page and for the recording of it.
import { spawn } from "node:child_process";
import { binary, folder, freePort, until } from "./harness.mjs";

/** Milliseconds until the sample world stands, in a build without optimisation on a busy machine. */
const READY_MS = 150_000;

/** Starts the demo on a port of its own, with a folder that is gone when `t` ends; answers its address. */
export async function demo(t) {
  const port = await freePort();
  const env = { ...process.env, TMPDIR: folder(t), FANFARE__AUTH__ARGON2_MEMORY_KIB: "8", FANFARE__AUTH__ARGON2_ITERATIONS: "1" };
  for (const name of Object.keys(env)) if (name.startsWith("FANFARE_") && !name.startsWith("FANFARE__AUTH")) delete env[name];
  const child = spawn(binary(), ["demo", "--listen", `127.0.0.1:${port}`], { env, stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  let said = "";
  child.stderr.on("data", (data) => (said = (said + data).slice(-5_000)));
  const base = `http://127.0.0.1:${port}`;
  const ready = () => fetch(`${base}/readyz`, { signal: AbortSignal.timeout(5_000) }).then((answer) => answer.ok, () => false);
  await until(ready, () => `the demo: ${said}`, READY_MS);
  return base;
}

/** The page, once both people are connected. `complaints` fills with what the console and the policy object to. */
export async function openDemo(context, base) {
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(`thrown: ${error.message}`));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
  await page.goto(base);
  await page.locator("body[data-ready]").waitFor({ timeout: 30_000 });
  for (const who of ["demo", "friend"]) await page.locator(`#${who}[data-status=open]`).waitFor();
  return { page, complaints };
}

/** Posts as one of the two; answers the text. */
export async function say(page, who, text) {
  await page.locator(`#${who} .compose input`).fill(text);
  await page.locator(`#${who} .compose button`).click();
  return text;
}

/** The card of a text of the two in somebody's feed; the town may pass it on, which is another card. */
export function card(page, who, text) {
  return page.locator(`#${who} .feed > li:is(.by-demo, .by-friend)`, { hasText: text });
}
