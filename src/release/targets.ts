/** The platforms that a release is built for. */
import type { Build } from "bun";

export type Target = {
  /** Name in the file name of the artifact. */
  readonly name: string;
  readonly compile: Build.CompileTarget;
  /** The npm package that contains Bun for the platform; bun.lock pins version and checksum. */
  readonly runtime: string;
  /** Path of Bun within that package. */
  readonly program: string;
  readonly suffix: string;
};

const target = (name: string, runtime: string, windows = false): Target => ({
  name,
  compile: `bun-${name}` as Build.CompileTarget,
  runtime: `@oven/bun-${runtime}`,
  program: windows ? "bin/bun.exe" : "bin/bun",
  suffix: windows ? ".exe" : "",
});

export const TARGETS: readonly Target[] = [
  target("linux-x64", "linux-x64"),
  target("linux-arm64", "linux-aarch64"),
  target("linux-x64-musl", "linux-x64-musl"),
  target("linux-arm64-musl", "linux-aarch64-musl"),
  target("darwin-x64", "darwin-x64"),
  target("darwin-arm64", "darwin-aarch64"),
  target("windows-x64", "windows-x64", true),
];

/** @throws Error that lists the known names. */
export function targetsNamed(names: readonly string[]): readonly Target[] {
  if (names.length === 0) return TARGETS;
  return names.map((name) => {
    const found = TARGETS.find((each) => each.name === name);
    if (found !== undefined) return found;
    const known = TARGETS.map((each) => each.name).join(", ");
    throw new Error(`there is no target "${name}"; there are ${known}`);
  });
}
