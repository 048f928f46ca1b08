// Goal: a start that meets a full disk at any step loses nothing and damages nothing. Method: from each
// step on, whatever needs space fails, first in ways of file systems that overwrite in place and then
// in those that copy on write; then there is space again, with and without a restart in between.
import { expect, test } from "bun:test";
import { DiskFull } from "../../src/env/disk.ts";
import { fromUtf8, utf8 } from "../../src/lib/bytes.ts";
import type { Node } from "../../src/node/node.ts";
import { read, stored } from "../tools/node/as-promises.ts";
import { SingleNode } from "../tools/node/single-node.ts";
import { Random } from "../tools/random.ts";
import { SimDisk } from "../tools/sim/sim-disk.ts";
import { SpaceLimit } from "../tools/sim/space-limit.ts";

const TIMEOUT_MS = 300_000;
const SEED = Number(process.env["SEED"] ?? 7);

type AnyNode = Pick<SingleNode, "settled">;

const put = async (single: AnyNode, node: Node, key: string, value: string) => {
  const request = { namespace: "kv", key, value: utf8(value), cas: null, ttlMs: null };
  return await single.settled(stored(node, { ...request, timeoutMs: null }));
};

async function valueIn(single: AnyNode, node: Node, key: string): Promise<string | null> {
  const found = await single.settled(read(node, { namespace: "kv", key, linearizable: true }));
  return found.ok ? fromUtf8(found.value) : null;
}

const KEYS = Array.from({ length: 40 }, (_, i) => `k${i}`);
const VALUE = "v".repeat(2_000);

/** A disk as a node leaves it that stopped, or that was killed. */
async function used(stops: boolean): Promise<SimDisk> {
  const single = new SingleNode(new Random(SEED));
  const node = await single.open();
  for (const key of KEYS) expect((await put(single, node, key, VALUE)).ok).toBe(true);
  if (stops) await single.settled(node.stop());
  else single.disk.kill();
  return single.disk;
}

async function expectAll(single: AnyNode, node: Node): Promise<void> {
  for (const key of KEYS) expect(await valueIn(single, node, key)).toBe(VALUE);
}

/** @returns whether the node started. */
async function startAt(disk: SimDisk, step: number, copiesOnWrite: boolean) {
  const full = new SpaceLimit(step, { copiesOnWrite });
  disk.faults.space = full;
  const single = new SingleNode(new Random(SEED), disk);
  const outcome = await single.open().then(
    (node) => ({ node }),
    (error: unknown) => ({ error }),
  );
  return { single, outcome, reached: full.steps > step };
}

for (const ending of ["stopped", "killed"] as const) {
  for (const way of ["overwrites in place", "copies on write"] as const) {
    test(
      `a node that was ${ending}, on a file system that ${way} (SEED=${SEED})`,
      async () => {
        const before = await used(ending === "stopped");
        for (let step = 0; ; step++) {
          const disk = before.snapshot();
          const { single, outcome, reached } = await startAt(disk, step, way === "copies on write");
          const where = `full from step ${step}`;
          // A directory with data needs no space to be started.
          if ("error" in outcome) throw new Error(where, { cause: outcome.error });
          expect(single.ended, where).toBeNull();
          disk.faults.space = null;
          // Within seconds it takes everything again, without a restart.
          for (let i = 0; i < 100; i++) await single.clock.advance(100);
          await expectAll(single, outcome.node);
          expect((await put(single, outcome.node, "new", "one")).ok, where).toBe(true);
          disk.kill();
          const again = new SingleNode(new Random(SEED + step), disk);
          const node = await again.open();
          await expectAll(again, node);
          expect(await valueIn(again, node, "new")).toBe("one");
          await again.settled(node.stop());
          if (!reached) return;
        }
      },
      TIMEOUT_MS,
    );
  }
}

test(
  `a first start that meets a full disk at any step is done again (SEED=${SEED})`,
  async () => {
    for (let step = 0; ; step++) {
      const disk = new SimDisk();
      const { outcome, reached } = await startAt(disk, step, true);
      disk.faults.space = null;
      if ("error" in outcome) expect(outcome.error).toBeInstanceOf(DiskFull);
      else disk.kill();
      const single = new SingleNode(new Random(SEED), disk);
      const node = await single.open();
      expect((await put(single, node, "new", "one")).ok).toBe(true);
      await single.settled(node.stop());
      if (!reached) return;
    }
  },
  TIMEOUT_MS,
);
