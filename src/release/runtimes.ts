/** Fetches Bun for other machines from the npm registry, with version and checksum of bun.lock. */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./compile.ts";
import type { Lock } from "./lock.ts";
import type { Target } from "./targets.ts";

const CACHE = join(ROOT, "node_modules/.cache/runtimes");

/**
 * @returns path of the program, unpacked below `directory`.
 * @throws Error if the package cannot be fetched or is not the one of the lock file.
 */
export async function fetchRuntime(
  { runtime, program }: Target,
  lock: Lock,
  directory: string,
): Promise<string> {
  const { version, integrity } = lock.of(runtime);
  const tarball = join(CACHE, `${runtime.replace("@", "").replace("/", "-")}-${version}.tgz`);
  if (!existsSync(tarball)) download(`${runtime}@${version}`);
  const bytes = await Bun.file(tarball).bytes();
  if (sha512(bytes) !== integrity) {
    rmSync(tarball);
    throw new Error(`${runtime}@${version} is not what bun.lock says: ${integrity}`);
  }
  const unpacked = join(directory, runtime);
  await new Bun.Archive(bytes).extract(unpacked);
  return join(unpacked, "package", program);
}

function download(specifier: string): void {
  mkdirSync(CACHE, { recursive: true });
  const npm = Bun.which("npm");
  if (npm === null) throw new Error("npm is needed to fetch Bun for other machines");
  const { success, stderr } = Bun.spawnSync(
    [npm, "pack", "--silent", "--pack-destination", CACHE, specifier],
    { stderr: "pipe" },
  );
  if (!success) throw new Error(`npm pack ${specifier}: ${stderr.toString().trim()}`);
}

/** Checksum in the form of package-lock files. */
export const sha512 = (bytes: Uint8Array): string =>
  `sha512-${new Bun.CryptoHasher("sha512").update(bytes).digest("base64")}`;
