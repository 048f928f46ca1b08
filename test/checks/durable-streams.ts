/**
 * `bun run test:durable-streams [--nodes 3] [--workers 2]`: the published conformance suite of the
 * Durable Streams protocol against the binary, with every append fsynced. With several nodes, the suite
 * speaks to a follower. The suite has a folder and a lock file of its own; it is installed into a
 * temporary directory, from the lock file.
 */
import { cpSync, existsSync, renameSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { IDS, startNodes, untilReady } from "../tools/process/nodes.ts";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";

const LONG_POLL_MS = 2_000;
const BINARY = "dist/ayder";

const { values } = parseArgs({
  options: {
    nodes: { type: "string", default: "1" },
    workers: { type: "string", default: "0" },
    /** A part of the names of tests, to run only these. */
    only: { type: "string", default: "" },
  },
});

if (process.env["AYDER_BINARY"] === undefined && existsSync(BINARY)) {
  process.env["AYDER_BINARY"] = join(process.cwd(), BINARY);
}

const environment = {
  RF_WORKERS: values.workers,
  // The suite sends no token.
  RF_AUTH_SKIP_PREFIXES: "/v1/stream",
  RF_STREAM_LONG_POLL_MS: String(LONG_POLL_MS),
  // The suite receives webhooks on this machine.
  RF_WEBHOOK_ALLOW: "127.0.0.1",
};

const directory = temporaryDirectory();
const place = join(directory.path, "suite");

type Target = { readonly url: string; readonly stop: () => Promise<void> };

async function oneNode(): Promise<Target> {
  const server = await startServer({ dataDir: join(directory.path, "data"), env: environment });
  return { url: server.url, stop: () => server.kill() };
}

async function cluster(): Promise<Target> {
  const forwarding = { ...environment, RF_HA_FOLLOWER_WRITES: "forward" };
  const { urls, children } = startNodes(directory.path, forwarding);
  const stop = async () => {
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(children.map(({ exited }) => exited));
  };
  try {
    await untilReady(urls);
    return { url: await followerOf(urls), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function followerOf(urls: readonly string[]): Promise<string> {
  const answer = await fetch(`${urls[0]}/ha/membership`, {
    headers: { authorization: "Bearer dev" },
  });
  const { membership } = (await answer.json()) as { membership: { leader_id: string } };
  const url = urls[IDS.findIndex((id) => id !== membership.leader_id)];
  if (url === undefined) throw new Error("a cluster of three has two followers");
  return url;
}

async function run(env: Readonly<Record<string, string>>, ...command: string[]): Promise<number> {
  const child = Bun.spawn(command, {
    cwd: place,
    env: { ...process.env, ...env },
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
  });
  return await child.exited;
}

type Outcome = { readonly fullName: string; readonly status: string };
type Report = {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly { readonly assertionResults: readonly Outcome[] }[];
};

cpSync(join(import.meta.dir, "durable-streams"), place, { recursive: true });
// By this name Vitest finds it, and the tests of this repository do not.
renameSync(join(place, "suite.ts"), join(place, "suite.test.ts"));
const installed = await run({}, process.execPath, "install", "--frozen-lockfile");
if (installed !== 0) throw new Error("the suite could not be installed");
const target = values.nodes === "1" ? await oneNode() : await cluster();
try {
  const report = join(directory.path, "report.json");
  await run(
    { CONFORMANCE_URL: target.url, CONFORMANCE_LONG_POLL_MS: String(LONG_POLL_MS) },
    "node",
    join(place, "node_modules/vitest/vitest.mjs"),
    "run",
    "--reporter=json",
    `--outputFile=${report}`,
    "--testTimeout=30000",
    ...(values.only === "" ? [] : ["--testNamePattern", values.only]),
  );
  const { numPassedTests, numFailedTests, testResults }: Report = await Bun.file(report).json();
  for (const { fullName, status } of testResults.flatMap((file) => file.assertionResults)) {
    if (status === "failed") console.log(`failed: ${fullName}`);
  }
  console.log(`${numPassedTests} passed, ${numFailedTests} failed`);
  process.exitCode = numFailedTests === 0 && numPassedTests > 0 ? 0 : 1;
} finally {
  await target.stop();
  directory.remove();
}
