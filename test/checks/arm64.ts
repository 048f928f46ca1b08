/**
 * `bun run test:arm64`: the conformance suite against the linux-arm64 binary of this tree, run by
 * qemu-aarch64-static (Debian: qemu-user-static) on Debian's arm64 libraries, which are unpacked
 * into a directory. Nothing of this machine is changed.
 */
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../src/release/compile.ts";
import { temporaryDirectory } from "../tools/process/server.ts";

const LIBRARIES = ["libc6", "libgcc-s1", "libstdc++6"];
const qemu = Bun.which("qemu-aarch64-static");
if (qemu === null)
  throw new Error("qemu-aarch64-static is missing: apt-get install qemu-user-static");

const directory = temporaryDirectory();
try {
  const root = await unpackLibraries(directory.path);
  const out = join(directory.path, "release");
  await Bun.$`${process.execPath} src/release/release.ts --out ${out} linux-arm64`.cwd(ROOT);
  const binary = join(directory.path, "ayder");
  writeFileSync(binary, `#!/bin/sh\nexec ${qemu} -L ${root} ${out}/ayder-linux-arm64 "$@"\n`);
  chmodSync(binary, 0o755);
  await Bun.$`file -b ${out}/ayder-linux-arm64; ${binary} --version`;
  // Emulated, all takes several times as long.
  const tests = Bun.spawn([process.execPath, "test", "--timeout", "60000", "test/binary"], {
    cwd: ROOT,
    env: { ...process.env, AYDER_BINARY: binary, AYDER_BINARY_FILE: `${out}/ayder-linux-arm64` },
    stdio: ["ignore", "inherit", "inherit"],
  });
  process.exitCode = await tests.exited;
} finally {
  directory.remove();
}

/** Into a state of apt's own, so that the architectures of this machine stay as they are. */
async function unpackLibraries(below: string): Promise<string> {
  const state = join(below, "apt");
  const root = join(below, "arm64");
  for (const path of ["lists/partial", "cache/archives/partial", "packages"]) {
    mkdirSync(join(state, path), { recursive: true });
  }
  const options = {
    "APT::Architecture": "arm64",
    "APT::Architectures": "arm64",
    "APT::Sandbox::User": "root",
    "Dir::State": state,
    "Dir::State::status": "/dev/null",
    "Dir::Cache": join(state, "cache"),
  };
  const flags = Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  const packages = join(state, "packages");
  await Bun.$`apt-get -qq ${flags} update`;
  await Bun.$`apt-get -qq ${flags} download ${LIBRARIES}`.cwd(packages);
  for (const file of readdirSync(packages))
    await Bun.$`dpkg-deb -x ${join(packages, file)} ${root}`;
  return root;
}
