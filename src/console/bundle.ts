/**
 * Bundles the script and style of the browser. Runs as a macro at build time, so that a binary
 * contains the result. A macro may not call `Bun.build`, so this starts a process.
 */

/** @throws Error with the output of the bundler. */
export function bundle(entry: string): string {
  const build = Bun.spawnSync(
    [
      process.execPath,
      "build",
      `${import.meta.dir}/browser/${entry}`,
      "--minify",
      "--target=browser",
    ],
    { env: { BUN_BE_BUN: "1" } },
  );
  if (!build.success) throw new Error(build.stderr.toString());
  return build.stdout.toString();
}
