/**
 * Exports while leaders are killed: every offset must be in exactly one committed file, and every row
 * must be the record that the topic has. With three nodes the store is a bucket that misbehaves, with
 * one node it is a directory.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createClient } from "../../../src/client/index.ts";
import { S3Server } from "../backup/s3-server.ts";
import { Cluster } from "../cluster/cluster.ts";
import { temporaryDirectory } from "../process/server.ts";
import { Random } from "../random.ts";
import { committedFiles, type Place } from "./manifests.ts";
import { bucketPlace, directoryPlace, type Exported, exported } from "./place.ts";

const PARTITIONS = 3;
const TOPIC = "events";
const STALL_MS = 1_500;
/** A pointer that a late request set back is written again within this time. */
const PATIENCE_MS = 240_000;
/** A leader lives at least this long, unless it has committed a file before. */
const PROGRESS_MS = 6_000;

export type KillsOptions = {
  readonly nodes: 1 | 3;
  readonly kills: number;
  readonly seed: number;
  /** Called with a line about each step. */
  readonly tell?: (line: string) => void;
};

export type KillsResult = Exported & { readonly faults: number; readonly produced: number };

/** @throws Error that says which promise was broken. */
export async function runKills(options: KillsOptions): Promise<KillsResult> {
  const run = new Run(options);
  try {
    return await run.run();
  } finally {
    await run.close();
  }
}

class Run {
  readonly #options: KillsOptions;
  readonly #random: Random;
  readonly #directory = temporaryDirectory();
  readonly #lake = join(this.#directory.path, "lake");
  readonly #s3 = new S3Server();
  readonly #cluster: Cluster;
  #faults = 0;
  #misbehaves = true;
  #isProducing = true;
  #produced = 0;

  constructor(options: KillsOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    mkdirSync(this.#lake);
    this.#cluster = new Cluster({
      size: options.nodes,
      directory: this.#directory.path,
      network: "direct",
      environment: {
        ...this.#s3.environment(),
        RF_EXPORT_DIR: this.#lake,
        RF_EXPORT_TIMEOUT_MS: String(STALL_MS),
        RF_HA_FOLLOWER_WRITES: "forward",
      },
    });
    if (options.nodes === 3) this.#s3.interfere = (line) => this.#misbehave(line);
  }

  get #place(): Place {
    return this.#options.nodes === 3
      ? bucketPlace(this.#s3, "lake/x/")
      : directoryPlace(join(this.#lake, "x"));
  }

  async run(): Promise<KillsResult> {
    const { kills, nodes, tell } = this.#options;
    this.#cluster.startInitialMembers();
    await this.#until("a topic", () =>
      this.#try("POST", "/broker/topics", { name: TOPIC, partitions: PARTITIONS }),
    );
    const url = nodes === 3 ? "s3://lake/x" : `file://${this.#lake}/x`;
    const definition = { topic: TOPIC, url, every_ms: 1000, max_bytes: 4096 };
    await this.#until("an export", () => this.#try("PUT", "/broker/exports/e", definition));
    const producing = this.#produce();
    for (let kill = 1; kill <= kills; kill++) {
      await this.#progress();
      await Bun.sleep(this.#random.below(1500));
      const victim = await this.#kill();
      const { files } = await exported(this.#place);
      tell?.(`kill ${kill} of ${victim}: ${files} files, ${this.#faults} faults of the store`);
    }
    this.#isProducing = false;
    await producing;
    this.#misbehaves = false;
    await this.#until("a flush", () => this.#try("POST", "/broker/exports/e/flush"));
    let last = "";
    await this.#until(
      () => `the end of the export: ${last}`,
      async () => {
        const state = await this.#try("GET", "/broker/exports/e");
        last = JSON.stringify(state);
        return state?.["lag_records"] === 0;
      },
    );
    return await this.#check();
  }

  /** Waits for a file more, so that leaders are killed at work. */
  async #progress(): Promise<void> {
    const before = (await exported(this.#place)).files;
    const end = performance.now() + PROGRESS_MS;
    while (performance.now() < end && (await exported(this.#place)).files === before) {
      await Bun.sleep(100);
    }
  }

  async close(): Promise<void> {
    await this.#cluster.stop();
    await this.#s3.stop();
    this.#directory.remove();
  }

  /** The files against the topic: the same offsets, and the same values. */
  async #check(): Promise<KillsResult> {
    const client = createClient({ urls: this.#urls(), token: "dev" });
    const { partitions } = await client.topics.describe(TOPIC);
    const ends = new Map(partitions.map((each) => [each.partition, each.endOffset]));
    let seen: Exported | null = null;
    // The last manifest may still be on its way.
    await this.#until("the last manifest", async () => {
      seen = await exported(this.#place);
      return [...ends].every(([partition, end]) => (seen?.offsets.get(partition) ?? 0) === end);
    });
    const values = new Map<string, string>();
    for await (const message of client.consume(TOPIC, { from: "earliest" })) {
      values.set(`${message.partition}/${message.offset}`, message.text);
    }
    const wrong: string[] = [];
    const all = await exported(this.#place, 0, (partition, offset, value) => {
      const place = `${partition}/${offset}`;
      if (values.get(place) !== value) wrong.push(place);
      values.delete(place);
    });
    if (wrong.length > 0) throw new Error(`rows differ from their records: ${wrong.join()}`);
    if (values.size > 0) throw new Error(`records are in no file: ${[...values.keys()].join()}`);
    await this.#checkPlace();
    return { ...all, faults: this.#faults, produced: this.#produced };
  }

  /** Nothing is left of attempts that failed. */
  async #checkPlace(): Promise<void> {
    const listed = new Set((await committedFiles(this.#place)).map(({ file }) => file));
    const root = join(this.#lake, "x");
    const stored =
      this.#options.nodes === 3
        ? [...this.#s3.objects.keys()].map((key) => key.slice("lake/x/".length))
        : [...new Bun.Glob("**/*").scanSync({ cwd: root, dot: true })];
    const others = stored.filter((name) => !listed.has(name) && !name.startsWith("_ayder/"));
    if (others.length > 0) throw new Error(`files in no manifest: ${others.join(" ")}`);
  }

  async #produce(): Promise<void> {
    while (this.#isProducing) {
      const lines = Array.from(
        { length: 1 + this.#random.below(20) },
        () => `{"n":${this.#produced++}}`,
      );
      const path = `/broker/topics/${TOPIC}/produce-ndjson?partition=${this.#random.below(PARTITIONS)}`;
      await this.#try("POST", path, lines.join("\n"));
      await Bun.sleep(10);
    }
  }

  /** Kills the leader, and starts it again a little later. @returns its id. */
  async #kill(): Promise<string> {
    let leader = await this.#cluster.leader();
    while (leader === null) {
      await Bun.sleep(100);
      leader = await this.#cluster.leader();
    }
    await leader.node.kill();
    await Bun.sleep(this.#random.below(500));
    this.#cluster.start(leader.node);
    return leader.node.id;
  }

  #urls(): string[] {
    return this.#cluster.running.map((node) => `http://${this.#cluster.httpAddress(node)}`);
  }

  /** One attempt at any node. Null: no answer, or no success. */
  async #try(
    method: string,
    path: string,
    body?: object | string,
  ): Promise<Record<string, unknown> | null> {
    const urls = this.#urls();
    if (urls.length === 0) return null;
    const text = typeof body === "object" ? JSON.stringify(body) : body;
    try {
      const answer = await fetch(this.#random.pick(urls) + path, {
        method,
        headers: { authorization: "Bearer dev" },
        ...(text === undefined ? {} : { body: text }),
        signal: AbortSignal.timeout(5_000),
      });
      const fields = (await answer.json()) as Record<string, unknown>;
      return answer.ok || answer.status === 409 ? fields : null;
    } catch {
      return null;
    }
  }

  async #until(what: string | (() => string), ask: () => Promise<unknown>): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    for (;;) {
      const found = await ask();
      if (found !== null && found !== false) return;
      if (performance.now() > end)
        throw new Error(`no ${typeof what === "string" ? what : what()}`);
      await Bun.sleep(50);
    }
  }

  /** One of ten requests goes wrong. */
  #misbehave(line: string): Response | Promise<Response> | null {
    this.#s3.cutsObjects = 0;
    if (!this.#misbehaves || !line.startsWith("PUT")) return null;
    const dice = this.#random.below(40);
    if (dice >= 5) return null;
    this.#faults++;
    if (dice === 0) return Bun.sleep(2 * STALL_MS).then(unavailable);
    if (dice === 1) {
      this.#s3.cutsObjects = 1;
      return null;
    }
    return unavailable();
  }
}

const unavailable = () => new Response("<Error><Code>SlowDown</Code></Error>", { status: 503 });
