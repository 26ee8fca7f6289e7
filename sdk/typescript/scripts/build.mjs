// Builds what the package ships: ES modules in dist, CommonJS in dist/cjs, each with types of its own kind.
import { spawn } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const ROOT = new URL("..", import.meta.url);
const COMPILER = createRequire(import.meta.url).resolve("typescript/bin/tsc");

function compile(project) {
  const compiler = spawn(process.execPath, [COMPILER, "-p", project], { cwd: fileURLToPath(ROOT), stdio: "inherit" });
  return new Promise((resolve, reject) => {
    compiler.once("error", reject);
    compiler.once("exit", (code) => (code === 0 ? resolve() : reject(new Error(`${project} does not compile`))));
  });
}

// What an older source left behind must not be shipped.
rmSync(new URL("dist", ROOT), { recursive: true, force: true });
await Promise.all([compile("tsconfig.json"), compile("tsconfig.cjs.json")]);
// The package is "type": "module"; files below are not.
writeFileSync(new URL("dist/cjs/package.json", ROOT), '{ "type": "commonjs" }\n');
