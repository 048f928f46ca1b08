/**
 * Source to binary, the same for `bun run build [--outfile FILE] [--commit ID]` and for a release.
 */
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Target } from "./targets.ts";

export const ROOT = join(import.meta.dir, "../..");
const { name, version } = await Bun.file(join(ROOT, "package.json")).json();
export const PROGRAM: string = name;
export const VERSION: string = version;

/** How the program is bundled. Without features, a build contains no fault point. */
export const BUILD = {
  entrypoints: [join(ROOT, "src/main.ts")],
  root: ROOT,
  minify: { whitespace: true, syntax: true },
  format: "esm",
  features: [],
} satisfies Bun.BuildConfig;

/** Where the binary is made for another machine: what for, and with which Bun. */
export type Foreign = { readonly target: Target; readonly runtime: string };

/** What went into a binary: paths relative to the root, in order. */
export type Inputs = readonly string[];

/**
 * The bytes depend on the source, the lock file, Bun, the commit and the name of the file alone.
 *
 * @param outfile absolute.
 * @param foreign null: for this machine, with the Bun that runs this.
 */
export async function compile(
  outfile: string,
  commit: string,
  foreign: Foreign | null,
): Promise<Inputs> {
  const built = await Bun.build({
    ...BUILD,
    define: { AYDER_COMMIT: JSON.stringify(commit) },
    metafile: true,
    // Parsed and compiled ahead: a start takes half of the CPU time.
    bytecode: true,
    compile: {
      outfile,
      // Settings come from flags and the environment, not from what lies around at the start.
      autoloadDotenv: false,
      autoloadBunfig: false,
      ...(foreign && { target: foreign.target.compile, executablePath: foreign.runtime }),
    },
  });
  if (!built.success) throw new AggregateError(built.logs, `${outfile} could not be built`);
  return Object.keys(built.metafile?.inputs ?? {}).sort();
}

/**
 * Twelve digits of the commit of the work tree, `+` behind them if files were changed since;
 * empty without a repository.
 */
export function commitOfTree(): string {
  const head = git("rev-parse", "--short=12", "HEAD");
  if (head === null) return "";
  return git("status", "--porcelain", "--untracked-files=no") === "" ? head : `${head}+`;
}

/** When that commit was made, ISO 8601 in UTC; null without a repository. */
export function timeOfTree(): string | null {
  const seconds = git("log", "-1", "--format=%ct");
  return seconds === null ? null : new Date(Number(seconds) * 1000).toISOString();
}

function git(...args: readonly string[]): string | null {
  const path = Bun.which("git");
  if (path === null) return null;
  const { success, stdout } = Bun.spawnSync([path, ...args], { cwd: ROOT, stderr: "ignore" });
  return success ? stdout.toString().trim() : null;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      outfile: { type: "string", default: join(ROOT, "dist", PROGRAM) },
      commit: { type: "string", default: commitOfTree() },
    },
  });
  const outfile = resolve(values.outfile);
  await compile(outfile, values.commit, null);
  process.stdout.write(`${outfile} ${VERSION} ${values.commit}\n`);
}
