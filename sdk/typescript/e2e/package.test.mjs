// The package as others meet it: packed from a clone, installed into a fresh project, imported, required, bundled, typed.
import assert from "node:assert/strict";
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { browser, Server, staticFiles, Suite } from "./harness.mjs";
import { compile, execute, packed, project, vite } from "./project.mjs";

describe("the package", { timeout: 300_000 }, () => {
  const suite = new Suite();
  let tarball, path;

  before(async () => {
    tarball = await packed(suite);
    path = await project(suite, tarball);
  });
  after(() => suite.end());

  test("is right for everybody who imports, requires or bundles it, and so are its types", async () => {
    const types = await checkPackage(createPackageFromTarballData(readFileSync(tarball)));
    assert.deepEqual(types.problems, []);
    const { messages, pkg } = await publint({ pkgDir: join(path, "node_modules/@fanfare/sdk"), strict: true });
    assert.deepEqual(messages.map((message) => formatMessage(message, pkg)), []);
  });

  test("compiles in a strict project and runs in Node, imported and required, with ws", async (t) => {
    for (const name of ["program.mts", "program.cts"]) copyFileSync(join(path, "program.ts"), join(path, name));
    await compile(path, "tsconfig.node.json");
    const server = await Server.start(t);
    for (const name of ["program.mjs", "program.cjs"]) {
      const text = readFileSync(join(path, "out", name), "utf8");
      assert.equal(/\brequire\("@fanfare\/sdk"\)/.test(text), name.endsWith("cjs"), name);
      const said = await execute(path, process.execPath, [`out/${name}`, server.base, name.replace(".", "_")], { NODE_OPTIONS: "" });
      const expected = { transport: "websocket", heard: true, read: true, followers: [], refused: true, away: true };
      assert.deepEqual(JSON.parse(said), expected, name);
    }
  });

  test("is bundled by Vite and works in a page of another origin without TLS; unnamed origins learn what to set", async (t) => {
    await compile(path, "tsconfig.json");
    await execute(path, process.execPath, [vite(path), "build", "--logLevel=error"]);
    const files = await staticFiles(t, join(path, "dist"));
    const named = `http://fanfare-app.test:${files.port}`;
    const unnamed = `http://another-app.test:${files.port}`;
    const server = await Server.start(t, { FANFARE__HTTP__CORS_ORIGINS: named });
    const chromium = await browser(t, ["--host-resolver-rules=MAP *.test 127.0.0.1"]);
    const result = async (origin, handle) => {
      const page = await chromium.newPage();
      await page.goto(`${origin}/#${encodeURIComponent(JSON.stringify({ baseUrl: server.base, handle }))}`);
      return (await page.waitForFunction(() => window.result)).jsonValue();
    };
    const worked = { secure: false, before: "connecting", transport: "websocket", heard: "from a page", pixels: [3, 2] };
    assert.deepEqual(await result(named, "ann"), worked);
    const { network, message } = await result(unnamed, "bob");
    assert.ok(network && message.includes(`http.cors_origins = ["${unnamed}"]`), message);
  });
});
