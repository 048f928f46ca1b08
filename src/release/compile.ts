/**
 * Compiles the source to a binary, for `bun run build [--outfile FILE] [--commit ID]` and releases.
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

/** Target of a build for another machine, and the Bun for it. */
export type Foreign = { readonly target: Target; readonly runtime: string };

/** The source files of a binary: paths relative to the root, in order. */
export type Inputs = readonly string[];

/**
 * The bytes depend only on the source, the lock file, Bun, the commit and the file name.
 *
 * @param outfile absolute path.
 * @param foreign null for this machine, with the running Bun.
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
    // Compiled in advance, which halves the CPU time of a start.
    bytecode: true,
    compile: {
      outfile,
      // Settings come from flags and the environment, not from files in the working directory.
      autoloadDotenv: false,
      autoloadBunfig: false,
      ...(foreign && { target: foreign.target.compile, executablePath: foreign.runtime }),
    },
  });
  if (!built.success) throw new AggregateError(built.logs, `${outfile} could not be built`);
  return Object.keys(built.metafile?.inputs ?? {}).sort();
}

/**
 * Returns twelve digits of the commit of the work tree, with `+` appended if files were changed;
 * empty without a repository.
 */
export function commitOfTree(): string {
  const head = git("rev-parse", "--short=12", "HEAD");
  if (head === null) return "";
  return git("status", "--porcelain", "--untracked-files=no") === "" ? head : `${head}+`;
}

/** Returns the time of that commit, ISO 8601 in UTC; null without a repository. */
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
