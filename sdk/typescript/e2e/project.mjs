// Somebody else's project: a folder in which the packed SDK is installed beside Vite, TypeScript, React and ws.
import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { folder } from "./harness.mjs";

const run = promisify(execFile);
export const PACKAGE = fileURLToPath(new URL("..", import.meta.url));
/** What the package is made from; not what was built from it. */
const SOURCES = ["package.json", "chat", "package-lock.json", "tsconfig.json", "tsconfig.cjs.json", "src", "scripts", "README.md", "LICENSE"];
/** npm without talk; what is in its cache is not asked for again. */
const QUIET = ["--no-fund", "--no-audit", "--prefer-offline", "--loglevel=error"];

/** Runs a program to its end; what it said, or an error that shows it. */
export async function execute(cwd, program, args, env = {}) {
  const settings = { cwd, env: { ...process.env, ...env }, maxBuffer: 1 << 26, timeout: 120_000 };
  try {
    return (await run(program, args, settings)).stdout;
  } catch (error) {
    throw new Error(`${program} ${args.join(" ")}\n${error.stdout ?? ""}\n${error.stderr ?? error.message}`);
  }
}

export const npm = (cwd, ...args) => execute(cwd, "npm", [...args, ...QUIET]);

/** The package's sources as a clone has them, in a folder: never built, nothing installed. */
export function cloned(into) {
  mkdirSync(into, { recursive: true });
  for (const name of SOURCES) cpSync(join(PACKAGE, name), join(into, name), { recursive: true });
}

/** Packs the SDK as `npm publish` would, from sources that were never built; the path of the tarball. */
export async function packed(t) {
  const clone = folder(t);
  cloned(clone);
  symlinkSync(join(PACKAGE, "node_modules"), join(clone, "node_modules"));
  await npm(clone, "pack", "--silent");
  const [tarball] = readdirSync(clone).filter((name) => name.endsWith(".tgz"));
  return join(clone, tarball);
}

/** A fresh project with the tarball and what `e2e/project` names. */
export async function project(t, tarball) {
  const path = folder(t);
  cpSync(join(PACKAGE, "e2e/project"), path, { recursive: true, filter: (name) => !name.includes("node_modules") });
  await npm(path, "ci");
  await npm(path, "install", "--no-package-lock", tarball);
  if (!existsSync(join(path, "node_modules/@fanfare/sdk/dist/index.js"))) throw new Error("the tarball has no code");
  return path;
}

/** Compiles with the project's own TypeScript. */
export const compile = (path, config) =>
  execute(path, process.execPath, [join(path, "node_modules/typescript/bin/tsc"), "-p", config]);

/** The project's Vite. */
export const vite = (path) => join(path, "node_modules/vite/bin/vite.js");
