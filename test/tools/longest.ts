/**
 * Prints the longest files, classes and functions of `src/`: `bun test/tools/longest.ts`.
 * It relies on the formatter: a block ends at the first line with a brace at its own indent.
 */
import { Glob } from "bun";

export type Part = { readonly kind: Kind; readonly name: string; readonly lines: number };
type Kind = "file" | "class" | "function";

const CLASS = /^(?:export )?(?:abstract )?class (\w+)/;
const FUNCTION = /^\s*(?:export )?(?:async )?function\*? ?(\w+)/;
const ARROW =
  /^\s*(?:export )?(?:readonly |const |static )+(#?\w+)[^=]*= (?:async )?(?:<.*>)?\(.*\)?.*(?:=> \(?\{|\()$/;
const METHOD =
  /^ {2}(?:static |protected |override |private )*(?:async )?(?:get |set )?\*?(#?\w+)(?:<[^>]*>)?\((?:.*\{)?$/;
const NOT_A_NAME = new Set(["if", "for", "while", "switch", "catch", "return", "function"]);

/** The number of lines from `at` to the end of the block; 0 if there is none. */
function blockLength(lines: readonly string[], at: number): number {
  const indent = /^\s*/.exec(lines[at] ?? "")?.[0] ?? "";
  const from = lines[at]?.endsWith("(") ? endOfParameters(lines, at, indent) : at;
  if (from === null) return 0;
  for (let end = from + 1; end < lines.length; end++) {
    const line = lines[end] ?? "";
    const ends = line.startsWith(`${indent}}`) && !line.endsWith("{");
    if (ends) return end - at + 1;
  }
  return 0;
}

/** @returns the line on which the block begins; null for a call or a signature. */
function endOfParameters(lines: readonly string[], at: number, indent: string): number | null {
  const end = lines.findIndex((line, i) => i > at && line.startsWith(`${indent})`));
  return end > 0 && lines[end]?.endsWith("{") ? end : null;
}

function nameOf(line: string): readonly [Kind, string] | null {
  const className = CLASS.exec(line)?.[1];
  if (className !== undefined) return ["class", className];
  const name = (FUNCTION.exec(line) ?? ARROW.exec(line) ?? METHOD.exec(line))?.[1];
  return name === undefined || NOT_A_NAME.has(name) ? null : ["function", name];
}

export function partsOf(file: string, source: string): Part[] {
  const lines = source.trimEnd().split("\n");
  const parts: Part[] = [{ kind: "file", name: file, lines: lines.length }];
  for (const [at, line] of lines.entries()) {
    const named = nameOf(line);
    const length = named === null ? 0 : blockLength(lines, at);
    if (named !== null && length > 0) {
      parts.push({ kind: named[0], name: `${named[1]} in ${file}`, lines: length });
    }
  }
  return parts;
}

export async function longest(count: number): Promise<Readonly<Record<Kind, readonly Part[]>>> {
  const parts: Part[] = [];
  for (const path of new Glob("src/**/*.ts").scanSync(".")) {
    if (/^src\/(deploy|release)\/|\.d\.ts$/.test(path)) continue;
    parts.push(...partsOf(path.slice("src/".length), await Bun.file(path).text()));
  }
  parts.sort((a, b) => b.lines - a.lines);
  const of = (kind: Kind) => parts.filter((part) => part.kind === kind).slice(0, count);
  return { file: of("file"), class: of("class"), function: of("function") };
}

if (import.meta.main) {
  const parts = await longest(10);
  for (const [kind, list] of Object.entries(parts)) {
    process.stdout.write(`${kind}\n`);
    for (const { name, lines } of list)
      process.stdout.write(`${String(lines).padStart(5)} ${name}\n`);
  }
}
