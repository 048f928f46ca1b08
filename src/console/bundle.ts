/**
 * The browser's script and style, bundled. Runs as a macro, so at build time: a binary holds the
 * result. A macro may not call `Bun.build`, hence the process.
 */

/** @throws Error with what the bundler said. */
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
