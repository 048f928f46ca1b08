/**
 * `bun run test:durable-clients [--count 400] [--kills 30] [--only node]`: the published client of the
 * Durable Streams protocol, unmodified, in Node, Bun and Chromium. Its idempotent producer writes and its
 * live reads follow through a relay that cuts connections, while leaders of three nodes are killed. Nothing
 * may be lost, stored twice or out of order. Then the recipe of the manual runs as it is printed.
 */
import { cpSync, existsSync } from "node:fs";
import { createServer, connect as dial, type Socket } from "node:net";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { hasChromium, openBrowser } from "../tools/console/chromium.ts";
import { IDS, type StartedNodes, startNodes, untilReady } from "../tools/process/nodes.ts";
import { temporaryDirectory } from "../tools/process/server.ts";
import { Random } from "../tools/random.ts";

const BINARY = "dist/ayder";
const CUT_MS = 700;
const MANUAL = "src/docs/durable-streams.md";

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "400" },
    kills: { type: "string", default: "30" },
    only: { type: "string", default: "" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    /** A directory with the packages, so that nothing is installed. */
    installed: { type: "string" },
  },
});
const random = new Random(Number(values.seed));
const count = Number(values.count);

if (process.env["AYDER_BINARY"] === undefined && existsSync(BINARY)) {
  process.env["AYDER_BINARY"] = join(process.cwd(), BINARY);
}

const directory = temporaryDirectory();

async function run(command: readonly string[], cwd: string, env: Record<string, string> = {}) {
  const child = Bun.spawn([...command], {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if ((await child.exited) !== 0) throw new Error(`${command[0]}: ${err}${out}`);
  return out.trim();
}

async function install(): Promise<string> {
  const place = join(directory.path, "clients");
  cpSync(join(import.meta.dir, "durable-streams"), place, { recursive: true });
  if (values.installed === undefined) {
    await run([process.execPath, "install", "--frozen-lockfile"], place);
  } else {
    const packages = join(values.installed, "node_modules");
    cpSync(packages, join(place, "node_modules"), { recursive: true });
  }
  return place;
}

/** Gives each connection to some node, and cuts it after some time. */
async function startRelay(targets: readonly string[], isCutting: () => boolean) {
  const cuts = { count: 0 };
  const server = createServer((client: Socket) => {
    const { hostname, port } = new URL(random.pick(targets));
    const target = dial(Number(port), hostname);
    const end = () => {
      client.destroy();
      target.destroy();
    };
    const timer = setTimeout(() => {
      if (!isCutting()) return;
      cuts.count++;
      end();
    }, 20 + random.below(CUT_MS));
    for (const socket of [client, target]) {
      socket.on("error", end);
      socket.on("close", () => {
        clearTimeout(timer);
        end();
      });
    }
    client.pipe(target);
    target.pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return { url: `http://127.0.0.1:${port}`, cuts, stop: () => server.close() };
}

/** Kills the leader again and again until it is stopped, and starts it again. */
class Killer {
  kills = 0;
  #stopped = false;
  readonly #children;
  readonly #nodes: StartedNodes;

  constructor(nodes: StartedNodes) {
    this.#nodes = nodes;
    this.#children = [...nodes.children];
  }

  async run(most: number): Promise<void> {
    while (!this.#stopped && this.kills < most) {
      await Bun.sleep(500 + random.below(1500));
      const at = await this.#leader();
      if (at < 0 || this.#stopped) continue;
      this.#children[at]?.kill("SIGKILL");
      await this.#children[at]?.exited;
      this.kills++;
      await Bun.sleep(random.below(1500));
      this.#children[at] = this.#nodes.spawn(at);
      await untilReady(this.#nodes.urls);
    }
  }

  async #leader(): Promise<number> {
    for (const url of this.#nodes.urls) {
      const headers = { authorization: "Bearer dev" };
      const answer = await fetch(`${url}/ha/membership`, { headers }).catch(() => null);
      if (answer?.status !== 200) continue;
      const { membership } = (await answer.json()) as { membership: { leader_id: string } };
      return IDS.indexOf(membership.leader_id);
    }
    return -1;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const child of this.#children) child.kill("SIGKILL");
    await Promise.all(this.#children.map(({ exited }) => exited));
  }
}

type Given = { base: string; name: string; count: number; pauseMs: number };
type Runner = (given: Given) => Promise<string>;

async function bundle(place: string, target: "browser" | "node"): Promise<string> {
  const built = await Bun.build({ entrypoints: [join(place, "clients.ts")], target });
  const [output] = built.outputs;
  if (output === undefined) throw new Error(`the program for ${target} was not built`);
  return await output.text();
}

async function inChromium(script: string, page: string, given: Given): Promise<string> {
  const browser = await openBrowser(page);
  try {
    await browser.page.goto(page);
    await browser.page.addScriptTag({ type: "module", content: script });
    await browser.page.waitForFunction("typeof globalThis.runAll === 'function'");
    const lines = await browser.page.evaluate<string[]>(
      `globalThis.runAll(${JSON.stringify(given)})`,
    );
    return lines.join("\n");
  } finally {
    await browser.close();
  }
}

/** The code of the manual, with the parts that it leaves to the reader. */
async function recipe(place: string, url: string): Promise<string> {
  const text = await Bun.file(MANUAL).text();
  const blocks = [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = ""]) => code);
  if (blocks.length !== 2) throw new Error(`${MANUAL} has ${blocks.length} blocks of code`);
  const code = blocks
    .join("\n")
    .replaceAll("https://ayder.example.com", url)
    .replace("await producer.flush();", "await producer.flush();\nawait chat.close();");
  const program = `
    const shown = [];
    const show = (items) => shown.push(...items.map(({ token }) => token));
    const savedOffset = undefined;
    async function* answerOfTheModel_() { yield "It "; yield "works. "; }
    const answerOfTheModel = answerOfTheModel_();
    ${code}
    await session.closed;
    console.log(shown.join(""));
    process.exit(0);
  `;
  await Bun.write(join(place, "recipe.mjs"), program);
  return await run(["node", "recipe.mjs"], place, { TOKEN: "dev" });
}

const place = await install();
const page = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch: () =>
    new Response("<!doctype html><title>page</title>", {
      headers: { "content-type": "text/html" },
    }),
});
const origin = `http://127.0.0.1:${page.port}`;
const nodes = startNodes(directory.path, {
  RF_HA_FOLLOWER_WRITES: "forward",
  RF_CORS_ORIGINS: origin,
  RF_STREAM_LONG_POLL_MS: "2000",
  RF_HA_ELECTION_TIMEOUT_MS: "300",
});
const killer = new Killer(nodes);
let isCutting = true;
const relay = await startRelay(nodes.urls, () => isCutting);
try {
  await untilReady(nodes.urls);
  const browserScript = await bundle(place, "browser");
  await Bun.write(join(place, "bundle.mjs"), await bundle(place, "node"));
  const asProcess = (command: string, given: Given) =>
    run([command, "bundle.mjs"], place, { CLIENT_RUN: JSON.stringify(given) });
  const runners: Readonly<Record<string, Runner>> = {
    node: (given) => asProcess("node", given),
    bun: (given) => asProcess(process.execPath, given),
    ...(hasChromium()
      ? { chromium: (given: Given) => inChromium(browserScript, origin, given) }
      : {}),
  };
  const killing = killer.run(Number(values.kills));
  for (const [name, runner] of Object.entries(runners)) {
    if (values.only !== "" && values.only !== name) continue;
    const lines = await runner({ base: relay.url, name, count, pauseMs: 50 });
    console.log(`${name}: ${lines.replaceAll("\n", "; ")}`);
  }
  isCutting = false;
  const kills = killer.kills;
  await Promise.race([killing, Bun.sleep(1)]);
  console.log(`${kills} leaders killed, ${relay.cuts.count} connections cut`);
  if (kills < 1 || relay.cuts.count < 1) throw new Error("nothing was disturbed");
  const shown = await recipe(place, nodes.urls[0] ?? "");
  console.log(`the recipe of the manual shows: ${shown}`);
  if (shown !== "It works. Hello") throw new Error(`the recipe shows ${JSON.stringify(shown)}`);
} finally {
  await killer.stop();
  relay.stop();
  await page.stop(true);
  directory.remove();
}
process.exit(0);
