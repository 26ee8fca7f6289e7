// Writes src/types.ts and src/types/ from the server's description of its API: `fanfare openapi`.
// Usage: node scripts/types.mjs [--check] [FILE]; without FILE the binary of this repository is asked.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";

const SOURCE = new URL("../src/", import.meta.url);
const PROTOCOL = new URL("../../../crates/protocol/src/", import.meta.url);
const LINE_MAX = 110;
const HEAD = "Generated from the server's description of itself by scripts/types.mjs: do not edit.";
const OPEN = `// Values that a newer server may add to a list of words are part of its type: handle what you know, ignore the
// rest.`;
const PAGE = `/** A page of a list that is read by cursor; shorter than its limit only when it is the last. */
export interface Page<T> {
  /** The items, in the order the call documents. */
  items: T[];
  /** Cursor of the next page; \`null\` on the last one. */
  next_cursor?: string | null | undefined;
}
`;
/** Products whose name is not that of the file of the protocol, or the tag of the calls, that their types come from. */
const PRODUCTS = {
  ...{ user: "users", accounts: "users", people: "users", post: "posts", feed: "posts", notification: "notifications" },
  ...{ report: "reports" },
  ...{ operators: "admin", operations: "admin", id: "common", timestamp: "common", problem: "common" },
};

/** The files, by their names below src/. */
export function generate(document) {
  const schemas = Object.entries(document.components.schemas).sort(([a], [b]) => (a < b ? -1 : 1));
  const homes = homesOf(document);
  const texts = new Map([["common", [PAGE]]]);
  for (const [name, schema] of schemas) {
    // A page is the generic one.
    if (name.startsWith("Page_")) continue;
    const home = homes.get(name);
    texts.set(home, [...(texts.get(home) ?? []), declaration(name, schema)]);
  }
  homes.set("Page", "common");
  const products = [...texts.keys()].sort();
  const index = products.map((product) => `export type * from "./types/${product}.js";\n`).join("");
  const files = products.map((product) => [`types/${product}.ts`, file(product, texts.get(product), homes)]);
  return new Map([["types.ts", `// The types of the API. ${HEAD}\n${OPEN}\n\n${index}`], ...files]);
}

/** Product of every type: the file of the protocol that declares it, or the tag of the first call that names it. */
function homesOf(document) {
  const homes = new Map();
  for (const name of readdirSync(PROTOCOL, { recursive: true }).filter((name) => name.endsWith(".rs"))) {
    const text = readFileSync(new URL(name, PROTOCOL), "utf8");
    const declared = text.matchAll(/^pub (?:struct|enum|type) (\w+)/gm);
    // A folder is one product.
    for (const [, type] of declared) homes.set(type, product(name.split("/")[0].replace(/\.rs$/, "")));
  }
  for (const call of Object.values(document.paths).flatMap((path) => Object.values(path))) {
    for (const type of namedBy(call, document.components.schemas)) {
      if (!homes.has(type)) homes.set(type, product(call.tags?.[0] ?? "common"));
    }
  }
  const lost = Object.keys(document.components.schemas).filter((name) => !homes.has(name) && !name.startsWith("Page_"));
  if (lost.length > 0) throw new Error(`no file of crates/protocol and no call tells whose type this is: ${lost}`);
  return homes;
}

function product(name) {
  return PRODUCTS[name] ?? name;
}

/** Names of the types that `part` of the document stands on. */
function namedBy(part, schemas, found = new Set()) {
  for (const [, name] of JSON.stringify(part).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
    if (found.has(name)) continue;
    found.add(name);
    if (schemas[name]) namedBy(schemas[name], schemas, found);
  }
  return found;
}

/** File of one product, which imports what others have. */
function file(product, texts, homes) {
  const text = texts.join("\n");
  // Not in comments.
  const code = text.replace(/\/\*\*[^]*?\*\//g, "");
  const others = new Map();
  for (const name of new Set(code.match(/\b[A-Z]\w*\b/g))) {
    const home = homes.get(name);
    if (home && home !== product) others.set(home, [...(others.get(home) ?? []), name]);
  }
  const lines = [...others].sort().map(([home, names]) => {
    const line = `import type { ${names.sort().join(", ")} } from "./${home}.js";\n`;
    return line.length <= LINE_MAX ? line : line.replace("{ ", "{\n  ").replaceAll(", ", ",\n  ").replace(" }", ",\n}");
  });
  return `// Types of the API: ${product}. ${HEAD}\n\n${lines.join("")}${lines.length > 0 ? "\n" : ""}${text}`;
}

function declaration(name, schema) {
  const head = comment(schema.description, "");
  if (isPlainObject(schema)) return `${head}export interface ${name} ${body(schema, "")}\n`;
  const text = type(schema, "");
  const line = `export type ${name} = ${text};`;
  const isUnion = schema.enum ?? schema.oneOf ?? schema.anyOf;
  if (!isUnion || line.length <= LINE_MAX) return `${head}${line}\n`;
  return `${head}export type ${name} =\n  | ${text.split(" | ").join("\n  | ")};\n`;
}

function isPlainObject(schema) {
  return schema.type === "object" && schema.properties !== undefined;
}

function body(schema, indent) {
  const inner = `${indent}  `;
  const required = new Set(schema.required ?? []);
  const fields = Object.entries(schema.properties).map(([name, field]) => {
    const key = /^[A-Za-z_]\w*$/.test(name) ? name : JSON.stringify(name);
    // `undefined` by name, for programs that are strict about it (exactOptionalPropertyTypes): JSON leaves it out.
    const [mark, absent] = required.has(name) ? ["", ""] : ["?", " | undefined"];
    const words = field.description ?? field.oneOf?.find((option) => option.description)?.description;
    const kind = type(field, inner);
    return `${comment(words, inner)}${inner}${key}${mark}: ${kind}${kind === "unknown" ? "" : absent};\n`;
  });
  return `{\n${fields.join("")}${indent}}`;
}

function type(schema, indent) {
  if (schema.$ref) return reference(schema.$ref);
  if (schema.enum) return words(schema.enum);
  const parts = schema.oneOf ?? schema.anyOf;
  if (parts) return parts.map((part) => type(part, indent)).join(" | ");
  if (schema.allOf) return schema.allOf.map((part) => type(part, indent)).join(" & ");
  if (Array.isArray(schema.type)) return schema.type.map((one) => type({ ...schema, type: one }, indent)).join(" | ");
  return plain(schema, indent);
}

function plain(schema, indent) {
  switch (schema.type) {
    case "string":
      return schema.format === "binary" ? "Blob" : "string";
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "boolean";
    case "null":
      return "null";
    case "array":
      return schema.items ? `${bracketed(type(schema.items, indent))}[]` : "unknown[]";
    case "object":
      return schema.properties ? body(schema, indent) : `Record<string, ${map(schema, indent)}>`;
    default:
      return "unknown";
  }
}

function map(schema, indent) {
  const values = schema.additionalProperties;
  return values && typeof values === "object" ? type(values, indent) : "unknown";
}

function reference(path) {
  const name = path.split("/").at(-1);
  const page = /^Page_(.+)$/.exec(name);
  return page ? `Page<${page[1]}>` : name;
}

/** A list of words; one with `unknown` grows with the server, and its type takes any string. */
function words(values) {
  const open = values.includes("unknown");
  const known = values.filter((value) => !(open && value === "unknown")).map((value) => JSON.stringify(value));
  return [...known, ...(open ? ["(string & {})"] : [])].join(" | ");
}

function bracketed(text) {
  return /[|&]/.test(text) ? `(${text})` : text;
}

function comment(text, indent) {
  if (!text) return "";
  // Links of the server's documentation lead nowhere from here: their words stay.
  const lines = text.trim().split("\n").map((line) => line.trim().replaceAll("*/", "* /").replace(/\[(`[^`]+`)\]/g, "$1"));
  if (lines.length === 1) return `${indent}/** ${lines[0]} */\n`;
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}`.trimEnd()).join("\n")}\n${indent} */\n`;
}

/** Description by the binary: `$FANFARE_BIN`, or the one that cargo builds. */
function describe() {
  const root = fileURLToPath(new URL("../../../", import.meta.url));
  const options = { cwd: root, encoding: "utf8", maxBuffer: 1 << 26, stdio: ["ignore", "pipe", "inherit"] };
  const binary = process.env.FANFARE_BIN;
  if (binary) return execFileSync(binary, ["openapi"], options);
  return execFileSync("cargo", ["run", "--quiet", "--locked", "--", "openapi"], options);
}

function main(args) {
  const check = args.includes("--check");
  const file = args.find((argument) => !argument.startsWith("--"));
  const files = generate(JSON.parse(file ? readFileSync(file, "utf8") : describe()));
  const folder = new URL("types/", SOURCE);
  if (!check) {
    // A product that is no more leaves nothing behind.
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    for (const [name, text] of files) writeFileSync(new URL(name, SOURCE), text);
    return;
  }
  const kept = new Set(["types.ts", ...readdirSync(folder).map((name) => `types/${name}`)]);
  const isKept = ([name, text]) => kept.has(name) && readFileSync(new URL(name, SOURCE), "utf8") === text;
  const stale = [...files].filter((file) => !isKept(file));
  const left = [...kept].filter((name) => !files.has(name));
  const wrong = [...stale.map(([name]) => name), ...left];
  if (wrong.length > 0) {
    console.error(`src/${wrong.join(", src/")} stale: run \`npm run types\` in sdk/typescript`);
    process.exitCode = 1;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) main(process.argv.slice(2));
