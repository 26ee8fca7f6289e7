// Programs that documents show: found, checked for holes, and made into files of a project.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PACKAGE } from "./project.mjs";

const ROOT = join(PACKAGE, "../..");
/** Languages of fences that are programs for the SDK. */
const PROGRAMS = new Set(["ts", "tsx", "typescript", "js", "jsx", "javascript", "mjs", "cjs"]);
/** What programs import that stand on other clients than this SDK; their own tests run those. */
const OTHERS = /from "\.\/generated/;
/** What recipes name as their server. */
const SERVERS = ["https://social.example", "http://127.0.0.1:7070"];

/** The documents that may show programs. */
export function documents() {
  const docs = readdirSync(join(ROOT, "docs")).filter((name) => name.endsWith(".md"));
  return ["README.md", "README.zh-CN.md", "sdk/typescript/README.md", "examples/app/README.md", ...docs.map((name) => `docs/${name}`)];
}

/** The fenced blocks of a document, with the heading that they stand under. */
export function blocks(document) {
  const found = [];
  let [heading, fence] = ["", null];
  for (const line of readFileSync(join(ROOT, document), "utf8").split("\n")) {
    const mark = /^\s*(`{3,})\s*([\w-]*)/.exec(line);
    if (fence && mark && mark[1].length >= fence.ticks && mark[2] === "") {
      found.push({ document, heading, language: fence.language, text: `${fence.lines.join("\n")}\n` });
      fence = null;
    } else if (fence) fence.lines.push(line);
    else if (mark) fence = { ticks: mark[1].length, language: mark[2], lines: [] };
    else if (/^#+ /.test(line)) heading = line.replace(/^#+ /, "").trim();
  }
  return found;
}

/** Every program on this SDK of every document; `place` is its heading and how many programs came before under the same. */
export function programs() {
  const found = documents().flatMap(blocks).filter((block) => PROGRAMS.has(block.language) && !OTHERS.test(block.text));
  return found.map((block, at) => {
    const under = (other) => other.document === block.document && other.heading === block.heading;
    const place = `${block.heading} ${found.slice(0, at).filter(under).length}`;
    return { ...block, place, name: `${block.document}: ${place}` };
  });
}

/** The place of an ellipsis in a program: what was left out, so that it cannot be pasted. Spread and rest are none. */
export function ellipsis(text) {
  const at = text.search(/…|\.\.\.(?![A-Za-z_$[({"'`])/);
  return at < 0 ? null : text.slice(Math.max(0, at - 30), at + 10);
}

/** The program as it is pasted, with the test's server in place of the one that it names. */
export function forServer(text, base) {
  return SERVERS.reduce((done, server) => done.replaceAll(server, base), text);
}

/** Where a program belongs: it says so by what it imports. */
export function kindOf({ text, language }) {
  if (/\brequire\("@fanfare\/sdk"\)/.test(text)) return "required";
  if (/from "(node:|ws")|process\.env/.test(text)) return "node";
  return language.endsWith("x") ? "react" : "page";
}

export const EXTENSIONS = { required: "cjs", node: "mts", react: "tsx", page: "ts" };
