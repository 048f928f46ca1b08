// Goal: a view is exact on every node after its leader was killed again and again: each record
// counts once. Method: batches under idempotency keys, each asked again until it is acknowledged,
// so that what the view must hold is known to the record.
import { afterAll, expect, test } from "bun:test";
import { Client, type Request } from "../tools/cluster/client.ts";
import { Cluster } from "../tools/cluster/cluster.ts";
import type { NodeProcess } from "../tools/cluster/node-process.ts";
import type { Body } from "../tools/cluster/outcome.ts";
import { temporaryDirectory } from "../tools/process/server.ts";
import { Random } from "../tools/random.ts";

const KILLS = Number(process.env["KILLS"] ?? 3);
const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const GROUPS = 50;
const PARTITIONS = 2;
const WRITERS = 4;
const LINES = 40;
const POLL_MS = 50;
const PATIENCE_MS = 60_000;
const TIMEOUT_MS = 300_000;

const directory = temporaryDirectory();
afterAll(directory.remove);

type Rows = Record<string, { count: number; sum: number }>;

class Viewed {
  readonly cluster = new Cluster({
    size: 3,
    directory: directory.path,
    network: "direct",
    // Small enough that the state is saved, and snapshots hold it, in every life.
    environment: { RF_CHECKPOINT_BYTES: String(64 * 1024) },
  });
  readonly random = new Random(SEED);
  /** The acknowledged records, by group. */
  readonly wanted: Rows = {};
  batches = 0;
  #stopped = false;

  async until<T>(what: () => Promise<T | null>, missing: string): Promise<T> {
    for (const end = Date.now() + PATIENCE_MS; Date.now() < end; ) {
      const found = await what();
      if (found !== null) return found;
      await Bun.sleep(POLL_MS);
    }
    throw new Error(missing);
  }

  /** At any node, again and again. */
  async must(client: Client, request: Request): Promise<Body> {
    const answers = new Set<string>();
    const ask = async () => {
      const node = this.random.pick(this.cluster.nodes);
      const { status, body } = await client.send(node, request);
      answers.add(`${status} ${JSON.stringify(body)?.slice(0, 200)}`);
      return status === 200 ? body : null;
    };
    const { method, target } = request;
    return await this.until(ask, `${method} ${target}: ${[...answers].join("\n")}`);
  }

  async write(writer: number): Promise<void> {
    const client = new Client(`w${writer}`, this.cluster);
    const random = new Random(SEED * 100 + writer);
    for (let batch = 0; !this.#stopped; batch++) {
      const rows = Array.from({ length: LINES }, () => ({
        g: `g${random.below(GROUPS)}`,
        x: random.below(1000),
      }));
      const query = `partition=${random.below(PARTITIONS)}&idempotency_key=w${writer}-${batch}`;
      const target = `/broker/topics/viewed/produce-ndjson?${query}`;
      const body = rows.map((row) => JSON.stringify(row)).join("\n");
      const { count } = await this.must(client, { method: "POST", target, body });
      expect(count).toBe(LINES);
      for (const { g, x } of rows) {
        const { count: before, sum } = this.wanted[g] ?? { count: 0, sum: 0 };
        this.wanted[g] = { count: before + 1, sum: sum + x };
      }
      this.batches++;
    }
    client.close();
  }

  stop(): void {
    this.#stopped = true;
  }

  /** The view as this node works it out, once the node itself lacks nothing. */
  async view(node: NodeProcess): Promise<Rows> {
    const body = await this.until(async () => {
      const answer = await this.cluster.ask(node, "/broker/views/by-group");
      const source = answer?.["source"] as { consumed: number } | undefined;
      return source !== undefined && source.consumed >= this.batches * LINES ? answer : null;
    }, `the view of ${node.id} does not catch up\n${node.logTail()}`);
    expect(body["source"]).toMatchObject({ skipped: 0 });
    const rows: Rows = {};
    for (const row of body["aggregates"] as { key: string; count: number; sum_x: number }[]) {
      rows[row.key.slice("g=".length)] = { count: row.count, sum: row.sum_x };
    }
    return rows;
  }
}

async function begin(viewed: Viewed, client: Client): Promise<void> {
  viewed.cluster.startInitialMembers();
  const topic = JSON.stringify({ name: "viewed", partitions: PARTITIONS });
  await viewed.must(client, { method: "POST", target: "/broker/topics", body: topic });
  const view = JSON.stringify({
    source: { topic: "viewed" },
    aggregate: { group_by: ["g"], measures: [{ op: "sum", field: "x" }] },
  });
  await viewed.must(client, { method: "PUT", target: "/broker/views/by-group", body: view });
}

test(
  `a view in a cluster of three is exact after ${KILLS} kills of the leader (SEED=${SEED} KILLS=${KILLS} bun test test/cluster/views.test.ts)`,
  async () => {
    const viewed = new Viewed();
    const { cluster } = viewed;
    const client = new Client("operator", cluster);
    try {
      await begin(viewed, client);
      const writing = Promise.all(Array.from({ length: WRITERS }, (_, i) => viewed.write(i)));
      const killing = (async () => {
        for (let kill = 0; kill < KILLS; kill++) {
          await Bun.sleep(300 + viewed.random.below(1000));
          const leader = await viewed.until(() => cluster.leader(), "no leader");
          await leader.node.kill();
          const { batches } = viewed;
          const goesOn = async () => (viewed.batches > batches + 2 ? true : null);
          await viewed.until(goesOn, `no writes after kill ${kill + 1}`);
          cluster.start(leader.node);
        }
      })();
      await Promise.race([writing, killing]);
      await killing;
      viewed.stop();
      await writing;
      for (const node of cluster.nodes)
        expect(await viewed.view(node), node.id).toEqual(viewed.wanted);
      console.log(`${KILLS} kills, ${viewed.batches * LINES} records, each counted once by all`);
    } finally {
      viewed.stop();
      client.close();
      await cluster.stop();
    }
  },
  TIMEOUT_MS,
);
