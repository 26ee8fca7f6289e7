// Writes src/types.ts from the server's description of its API: `fanfare openapi`.
// Usage: node scripts/types.mjs [--check] [FILE]; without FILE the binary of this repository is asked.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";

const TARGET = fileURLToPath(new URL("../src/types.ts", import.meta.url));
const LINE_MAX = 110;
const HEAD = `// The types of the API. Generated from the server's description of itself by scripts/types.mjs: do not edit.
// Values that a newer server may add to a list of words are part of its type: handle what you know, ignore the rest.

/** A page of a list that is read by cursor; shorter than its limit only when it is the last. */
export interface Page<T> {
  /** The items, in the order the call documents. */
  items: T[];
  /** Cursor of the next page; \`null\` on the last one. */
  next_cursor?: string | null | undefined;
}
`;

/** The whole file. */
export function generate(document) {
  const schemas = Object.entries(document.components.schemas).sort(([a], [b]) => (a < b ? -1 : 1));
  // A page is the generic one above.
  const own = schemas.filter(([name]) => !name.startsWith("Page_"));
  return [HEAD, ...own.map(([name, schema]) => declaration(name, schema))].join("\n");
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
  const text = generate(JSON.parse(file ? readFileSync(file, "utf8") : describe()));
  if (!check) return writeFileSync(TARGET, text);
  if (readFileSync(TARGET, "utf8") !== text) {
    console.error("src/types.ts is stale: run `npm run types` in sdk/typescript");
    process.exitCode = 1;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) main(process.argv.slice(2));
