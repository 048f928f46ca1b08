import { Client } from "./client.ts";
import type { NodeProcess } from "./node-process.ts";
import type { Run } from "./run-state.ts";
import { produce } from "./workload-log.ts";

/** Shorter than any client's patience: the lost leader itself may never answer. */
const ANSWER_TIMEOUT_MS = 400;
const PAUSE_MS = 20;
const BACK_MS = 500;
const GIVEN_UP_MS = 10_000;

/** Writes to the other nodes, again and again, until one is acknowledged. */
export async function timeTakeover(run: Run, lost: NodeProcess): Promise<void> {
  const { cluster, recorder, knowledge, random, takeovers } = run;
  const client = new Client(`probe${takeovers.length}`, cluster, ANSWER_TIMEOUT_MS);
  const others = cluster.running.filter((node) => node !== lost);
  const begin = recorder.now();
  try {
    for (let i = 0; others.length > 0 && recorder.now() - begin < GIVEN_UP_MS; i++) {
      const node = others[i % others.length] as NodeProcess;
      const answer = await produce({ client, recorder, knowledge, random }, node);
      const ms = recorder.now() - begin;
      if (answer.outcome === "ok" && answer.node !== lost) {
        takeovers.push(ms);
        return;
      }
      // At first it may not be lost yet; later it is back and leads on.
      if (answer.outcome === "ok" && ms > BACK_MS) return;
      await Bun.sleep(PAUSE_MS);
    }
  } finally {
    client.close();
  }
}
