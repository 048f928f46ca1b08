/**
 * `bun run release [--out DIR] [--commit ID] [--base-url URL] [target…]` writes the binaries of all
 * targets with checksums, bill of materials, licences and installer to dist/release. The same commit
 * gives the same bytes in any directory.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import {
  commitOfTree,
  compile,
  type Inputs,
  PROGRAM,
  ROOT,
  timeOfTree,
  VERSION,
} from "./compile.ts";
import { licensesText, partsOf } from "./contents.ts";
import { lock } from "./lock.ts";
import { fetchRuntime } from "./runtimes.ts";
import { type Artifact, sbomOf } from "./sbom.ts";
import { type Target, targetsNamed } from "./targets.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    out: { type: "string", default: join(ROOT, "dist/release") },
    commit: { type: "string", default: commitOfTree() },
    "base-url": { type: "string", default: "" },
  },
});
const out = resolve(values.out);
const pinned = lock.of("bun").version;
if (Bun.version !== pinned) throw new Error(`Bun ${pinned} makes releases; this is ${Bun.version}`);

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const work = mkdtempSync(join(tmpdir(), "ayder-release-"));
try {
  await release(targetsNamed(positionals));
} finally {
  rmSync(work, { recursive: true, force: true });
}

async function release(targets: readonly Target[]): Promise<void> {
  const binaries: Artifact[] = [];
  const inputs = new Set<string>();
  for (const target of targets) {
    const runtime = await fetchRuntime(target, lock, work);
    const name = `${PROGRAM}-${target.name}${target.suffix}`;
    const used: Inputs = await compile(join(out, name), values.commit, { target, runtime });
    for (const path of used) inputs.add(path);
    binaries.push(await artifact(name));
  }
  const parts = await partsOf([...inputs]);
  const written = [
    await write("sbom.cdx.json", sbomOf(parts, binaries, values.commit, timeOfTree())),
    await write("THIRD-PARTY-LICENSES.txt", licensesText(parts)),
    await write("LICENSE", await Bun.file(join(ROOT, "LICENSE")).text()),
    await write("install.sh", await installer()),
  ];
  chmodSync(join(out, "install.sh"), 0o755);
  const sums = [...binaries, ...written].map(({ name, sha256 }) => `${sha256}  ${name}\n`).join("");
  await Bun.write(join(out, "SHA256SUMS"), sums);
  process.stdout.write(`${PROGRAM} ${VERSION} ${values.commit}\n${sums}`);
}

/** Writes the installer, which contains the address of its own release and installs no other. */
async function installer(): Promise<string> {
  const text = await Bun.file(join(ROOT, "src/deploy/install.sh")).text();
  return text.replace("DEFAULT_BASE_URL=''", () => `DEFAULT_BASE_URL='${values["base-url"]}'`);
}

async function write(name: string, text: string): Promise<Artifact> {
  await Bun.write(join(out, name), text);
  return artifact(name);
}

async function artifact(name: string): Promise<Artifact> {
  const hasher = new Bun.CryptoHasher("sha256");
  for await (const chunk of Bun.file(join(out, name)).stream()) hasher.update(chunk);
  return { name, sha256: hasher.digest("hex") };
}
