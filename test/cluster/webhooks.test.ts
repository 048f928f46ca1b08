// Goal: a webhook delivers every record at least once while leaders are killed, and a dead letter has
// exactly its attempts.
// Method: a receiver that fails, hangs and answers too late, kills of the leader, and the promises
// checked over what the receiver was sent.
import { afterAll, expect, test } from "bun:test";
import { Cluster } from "../tools/cluster/cluster.ts";
import { temporaryDirectory } from "../tools/process/server.ts";
import { Random } from "../tools/random.ts";
import { Receiver } from "../tools/webhook/receiver.ts";

const KILLS = Number(process.env["KILLS"] ?? 2);
const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const RECORDS = 300;
const MAX_DELIVERIES = 4;
const PATIENCE_MS = 120_000;
const TIMEOUT_MS = 300_000;

const directory = temporaryDirectory();
afterAll(directory.remove);

type Json = Record<string, unknown>;
const random = new Random(SEED);
const cluster = new Cluster({
  size: 3,
  directory: directory.path,
  network: "direct",
  environment: {
    RF_CHECKPOINT_BYTES: String(64 * 1024),
    RF_HA_FOLLOWER_WRITES: "forward",
    RF_WEBHOOK_ALLOW: "127.0.0.1",
  },
});

async function ask(line: string, body?: Json | string): Promise<Json | null> {
  const [method = "", path = ""] = line.split(" ");
  const { running } = cluster;
  if (running.length === 0) return null;
  const address = cluster.httpAddress(random.pick(running));
  const base = address.includes("://") ? address : `http://${address}`;
  const text = typeof body === "string" ? body : JSON.stringify(body);
  try {
    const answer = await fetch(base + path, {
      method,
      headers: { authorization: "Bearer dev" },
      signal: AbortSignal.timeout(6_000),
      ...(text === undefined ? {} : { body: text }),
    });
    const json = (await answer.json()) as Json;
    return answer.status === 200 ? json : null;
  } catch {
    return null;
  }
}

async function must(line: string, body?: Json | string): Promise<Json> {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await Bun.sleep(50)) {
    const answer = await ask(line, body);
    if (answer !== null) return answer;
  }
  throw new Error(`no success: ${line}`);
}

async function kill(): Promise<void> {
  await Bun.sleep(300 + random.below(700));
  let leader = await cluster.leader();
  for (; leader === null; leader = await cluster.leader()) await Bun.sleep(50);
  await leader.node.kill();
  await Bun.sleep(300 + random.below(700));
  cluster.start(leader.node);
}

/** Attempts of each record whose answer was a success, and all attempts. */
class Log {
  readonly sent = new Map<string, number[]>();
  readonly accepted = new Set<string>();
  readonly receiver = new Receiver(async ({ headers, text }) => {
    const place = `${headers["ayder-partition"]}/${headers["ayder-offset"]}`;
    const attempts = this.sent.get(place) ?? [];
    this.sent.set(place, attempts);
    attempts.push(Number(headers["ayder-attempt"]));
    const dice = random.below(10);
    if (text.startsWith("poison") || dice === 0) return new Response("no", { status: 500 });
    // Longer than an attempt may take.
    if (dice === 1) await Bun.sleep(500);
    else this.accepted.add(place);
    return new Response("ok");
  });
}

test(
  `webhooks keep their promises over ${KILLS} kills of the leader (SEED=${SEED} KILLS=${KILLS} bun test test/cluster/webhooks.test.ts)`,
  async () => {
    const log = new Log();
    try {
      cluster.startInitialMembers();
      await must("POST /broker/topics", { name: "orders", partitions: 2 });
      await must("PUT /broker/webhooks/hook", {
        ...{ topic: "orders", url: log.receiver.url, timeout_ms: 300, backoff_ms: [20] },
        max_deliveries: MAX_DELIVERIES,
      });
      const producing = (async () => {
        for (let i = 0; i < RECORDS; i++) {
          const value = i % 50 === 7 ? `poison ${i}` : `order ${i}`;
          await must(`POST /broker/topics/orders/produce?idempotency_key=order-${i}`, value);
        }
      })();
      for (let i = 0; i < KILLS; i++) await kill();
      await producing;
      let state: Json = {};
      for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await Bun.sleep(100)) {
        state = await must("GET /broker/webhooks/hook");
        if (Number(state["delivered"]) + Number(state["dead"]) >= RECORDS) break;
      }
      const path = "/broker/consume/hook.dead/g/0?offset=0&limit=1000&consistency=linearizable";
      const letters = (await must(`GET ${path}`))["messages"] as { headers: Json }[];
      const dead = letters.map(({ headers }) => {
        expect(headers["dead-attempts"]).toBe(String(MAX_DELIVERIES));
        return `${headers["dead-partition"]}/${headers["dead-offset"]}`;
      });
      expect(new Set(dead).size).toBe(dead.length);
      expect({ delivered: state["delivered"], dead: state["dead"] }).toEqual({
        delivered: RECORDS - dead.length,
        dead: dead.length,
      });
      expect(dead.length).toBeGreaterThanOrEqual(RECORDS / 50);
      for (const [place, attempts] of log.sent) {
        // The leader that sent an attempt may be killed, but no attempt is sent twice or too often.
        expect(new Set(attempts).size, place).toBe(attempts.length);
        expect(Math.max(...attempts), place).toBeLessThanOrEqual(MAX_DELIVERIES);
        expect(attempts, place).toEqual([...attempts].sort((a, b) => a - b));
        const isDead = dead.includes(place);
        expect(isDead || log.accepted.has(place), `${place} was lost`).toBe(true);
      }
      expect(log.sent.size).toBe(RECORDS);
      console.log(
        `${KILLS} kills, ${log.receiver.requests.length} requests for ${RECORDS} records, ${dead.length} dead`,
      );
    } finally {
      await cluster.stop();
      await log.receiver.stop();
    }
  },
  TIMEOUT_MS,
);
