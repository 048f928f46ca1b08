/** Reads the versions that bun.lock pins. */
import { join } from "node:path";
import { ROOT } from "./compile.ts";

export type Locked = { readonly version: string; readonly integrity: string };
export type Lock = {
  /** @throws Error if the lock file has no such package from the registry. */
  of(name: string): Locked;
};

type LockFile = { readonly packages: Readonly<Record<string, readonly unknown[]>> };
const { packages } = Bun.JSONC.parse(await Bun.file(join(ROOT, "bun.lock")).text()) as LockFile;

export const lock: Lock = {
  of(name) {
    const entry = packages[name] ?? [];
    const version = String(entry[0] ?? "").slice(name.length + 1);
    const integrity = String(entry.at(-1) ?? "");
    if (!integrity.startsWith("sha512-")) throw new Error(`bun.lock does not pin ${name}`);
    return { version, integrity };
  },
};
