/** Third-party software in a binary: the packages that the bundler read, and their licences. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type Inputs, ROOT } from "./compile.ts";
import { type Lock, lock } from "./lock.ts";

export type Part = {
  readonly name: string;
  readonly version: string;
  /** SPDX expression. */
  readonly license: string;
  /** Full text. */
  readonly text: string;
  readonly integrity: string;
  /** Names of the parts that this part uses. */
  readonly uses: readonly string[];
};

/** @throws Error for a package without a licence, or if its version differs from the lock file. */
export async function partsOf(inputs: Inputs): Promise<readonly Part[]> {
  const names = [...new Set(inputs.flatMap((path) => packageOf(path) ?? []))].sort();
  const parts = await Promise.all(names.map((name) => partOf(name, names, lock)));
  return [...parts, await bunItself(lock)];
}

/** The package that a file belongs to; null for files of Ayder. */
export const packageOf = (path: string): string | null =>
  /^(?:.*\/)?node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? null;

async function partOf(name: string, all: readonly string[], pins: Lock): Promise<Part> {
  const directory = join(ROOT, "node_modules", name);
  const { version, integrity } = pins.of(name);
  const manifest = await Bun.file(join(directory, "package.json")).json();
  if (manifest.version !== version) {
    throw new Error(`${name} is installed as ${manifest.version}; bun.lock says ${version}`);
  }
  const file = readdirSync(directory).find((entry) =>
    /^(licen[cs]e|copying)(\.\w+)?$/i.test(entry),
  );
  if (file === undefined || typeof manifest.license !== "string") {
    throw new Error(`${name} has no licence file or names none`);
  }
  const wanted = { ...manifest.dependencies, ...manifest.peerDependencies };
  return {
    name,
    version,
    license: manifest.license,
    text: (await Bun.file(join(directory, file)).text()).trim(),
    integrity,
    uses: all.filter((other) => other in wanted),
  };
}

/** Bun's npm package has no licence file; its manual lists the linked libraries. */
async function bunItself(pins: Lock): Promise<Part> {
  const page = join(ROOT, "node_modules/bun-types/docs/project/license.mdx");
  if (!existsSync(page)) throw new Error(`${page} is missing: run bun install`);
  const text = (await Bun.file(page).text()).replace(/^---\n[\s\S]*?\n---\n/, "").trim();
  return { name: "bun", ...pins.of("bun"), license: "MIT", text, uses: [] };
}

export function licensesText(parts: readonly Part[]): string {
  const head =
    "The binaries of Ayder hold the following software of others, each under its own licence.\n";
  const line = "=".repeat(78);
  const sections = parts.map(
    ({ name, version, license, text }) =>
      `${line}\n${name} ${version} (${license})\n${line}\n\n${text}\n`,
  );
  return [head, ...sections].join("\n");
}
