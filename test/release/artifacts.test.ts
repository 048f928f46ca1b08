/**
 * A release has a binary that contains its version and no path of the builder, and the lists of its
 * parts.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { compile, type Inputs, ROOT, VERSION } from "../../src/release/compile.ts";
import { licensesText, type Part, partsOf } from "../../src/release/contents.ts";
import { lock } from "../../src/release/lock.ts";
import { sbomOf } from "../../src/release/sbom.ts";
import { TARGETS, targetsNamed } from "../../src/release/targets.ts";
import { cleanEnvironment, temporaryDirectory } from "../tools/process/server.ts";

const COMMIT = "0123456789ab";
setDefaultTimeout(60_000); // For busy machines.
const directory = temporaryDirectory();
const binary = join(directory.path, "ayder");
let inputs: Inputs = [];
let parts: readonly Part[] = [];

beforeAll(async () => {
  inputs = await compile(binary, COMMIT, null);
  parts = await partsOf(inputs);
});
afterAll(directory.remove);

test("the binary names its version and commit", async () => {
  expect(await Bun.$`${binary} --version`.text()).toBe(`ayder ${VERSION} (${COMMIT})\n`);
});

test("no path of the builder's machine is in the binary", async () => {
  const bytes = Buffer.from(await Bun.file(binary).bytes());
  expect(bytes.includes(COMMIT)).toBe(true);
  for (const path of [ROOT, directory.path]) expect(bytes.includes(path)).toBe(false);
});

test("settings do not come from files that lie around", async () => {
  await Bun.write(join(directory.path, ".env"), "RF_HTTP_PORT=not-a-port\n");
  await Bun.write(join(directory.path, "bunfig.toml"), 'preload = ["./preload.ts"]\n');
  await Bun.write(join(directory.path, "preload.ts"), 'throw new Error("loaded");\n');
  const child = Bun.spawn([binary, "--port", "x"], { cwd: directory.path, stderr: "pipe" });
  expect(await child.stderr.text()).toContain('--port: "x" is not an integer');
  const fromEnvironment = Bun.spawn([binary, "--data-dir", "/dev/null/x"], {
    cwd: directory.path,
    stderr: "pipe",
  });
  expect(await fromEnvironment.stderr.text()).not.toContain("RF_HTTP_PORT");
});

test("the binary holds the thread that serves HTTP", async () => {
  const args = ["--port", "0", "--data-dir", join(directory.path, "data")];
  const env = cleanEnvironment({ RF_HA_DEDICATED_WORKER: "1", RF_LOG_LEVEL: "error" });
  const child = Bun.spawn([binary, ...args], { env, stdout: "pipe", stderr: "inherit" });
  const { value } = await child.stdout.getReader().read();
  const url = /listening on (\S+)/.exec(new TextDecoder().decode(value))?.[1] ?? "";
  const headers = { authorization: "Bearer dev" };
  const answer = await fetch(`${url}/kv/n/k`, { method: "POST", headers, body: "v" });
  expect(answer.status).toBe(200);
  child.kill("SIGTERM");
  expect(await child.exited).toBe(0);
});

test("every package that the bundler read is listed with its licence, and Bun", () => {
  const names = parts.map(({ name }) => name);
  for (const name of ["elysia", "prom-client", "protobufjs", "avsc", "hyparquet-writer", "bun"]) {
    expect(names).toContain(name);
  }
  expect(names.filter((name) => name.startsWith("@types/"))).toEqual([]);
  const text = licensesText(parts);
  for (const { name, version, license } of parts) {
    expect(text).toContain(`${name} ${version} (${license})`);
    expect(text.length).toBeGreaterThan(1000);
  }
  // Licenses that may be shipped inside an MIT program.
  const allowed = ["MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "0BSD"];
  expect(parts.filter(({ license }) => !allowed.includes(license))).toEqual([]);
});

test("a package that the lock file does not pin is refused", async () => {
  await expect(partsOf(["node_modules/no-such-package/index.js"])).rejects.toThrow(
    "bun.lock does not pin no-such-package",
  );
});

test("the bill of materials is made again byte by byte, and its references are whole", () => {
  const artifacts = [{ name: "ayder-linux-x64", sha256: "00" }];
  const make = () => sbomOf(parts, artifacts, COMMIT, "2026-01-01T00:00:00.000Z");
  expect(make()).toBe(make());
  const document = JSON.parse(make());
  const known = new Set(document.components.map((each: { "bom-ref": string }) => each["bom-ref"]));
  expect(known.size).toBe(parts.length);
  for (const { dependsOn } of document.dependencies) {
    for (const reference of dependsOn) expect(known).toContain(reference);
  }
});

test("bun.lock pins the runtime of every target", () => {
  for (const { runtime } of TARGETS) expect(lock.of(runtime).version).toBe(lock.of("bun").version);
  expect(() => targetsNamed(["linux-riscv"])).toThrow('there is no target "linux-riscv"');
});
