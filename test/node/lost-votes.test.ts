/** A node that is its cluster's only voter needs no vote: with term and vote lost it continues. */
import { expect, test } from "bun:test";
import { utf8 } from "../../src/lib/bytes.ts";
import type { Node } from "../../src/node/node.ts";
import { HardStateDamaged } from "../../src/storage/hard-state.ts";
import { read, stored } from "../tools/node/as-promises.ts";
import { SingleNode } from "../tools/node/single-node.ts";
import { Random } from "../tools/random.ts";

const HARD_STATE = "shards/0/hard-state";
const BITS_OF_SLOT = 4096 * 8;

async function put(single: SingleNode, node: Node, key: string): Promise<void> {
  const request = { namespace: "n", key, value: utf8(key), cas: null, ttlMs: null };
  const outcome = await single.settled(stored(node, { ...request, timeoutMs: null }));
  expect(outcome).toMatchObject({ ok: true });
}

/** Another process on the disk as a SIGKILL leaves it. */
function afterKill({ disk }: SingleNode): SingleNode {
  const random = new Random(2);
  return new SingleNode(
    random,
    disk.afterCrash(() => "kept", random),
  );
}

/** Damages both slots, each by one bit, or removes the file. */
async function loseVotes(single: SingleNode, how: "flip" | "remove"): Promise<void> {
  if (how === "remove") await single.settled(single.disk.remove(HARD_STATE));
  else for (const slot of [0, 1]) single.disk.flipBit(HARD_STATE, slot * BITS_OF_SLOT + 200);
}

for (const how of ["flip", "remove"] as const) {
  for (const isStopped of [true, false]) {
    test(`a node alone continues above its last term (${how}, stopped: ${isStopped})`, async () => {
      const first = new SingleNode(new Random(1));
      let node = await first.open();
      await put(first, node, "before");
      const { term } = node.health();
      if (isStopped) await first.settled(node.stop());
      const single = afterKill(first);
      await loseVotes(single, how);
      node = await single.open();
      expect(node.health()).toMatchObject({ ready: true, role: "leader" });
      expect(node.health().term).toBeGreaterThan(term + 999_999);
      expect(single.instruments.damage.hard_state.value).toBe(1);
      const key = { namespace: "n", key: "before", linearizable: true };
      expect(await single.settled(read(node, key))).toMatchObject({ ok: true });
      await put(single, node, "after");
      // The new state is durable in both slots, so that the next start needs no repair.
      await single.settled(node.stop());
      node = await single.open();
      expect(single.instruments.damage.hard_state.value).toBe(1);
      expect(await single.settled(read(node, { ...key, key: "after" }))).toMatchObject({
        ok: true,
      });
      await single.settled(node.stop());
    });
  }
}

test("a change of the membership behind the checkpoint leaves it open who votes", async () => {
  const first = new SingleNode(new Random(1));
  const node = await first.open();
  await put(first, node, "before");
  // No checkpoint may cover the change.
  first.disk.faults.full = true;
  const member = { nodeId: "node2", host: "localhost", raftPort: 7, httpPort: 8, priority: 1 };
  expect(await first.settled(node.addMember(member))).toMatchObject({ ok: true });
  const single = afterKill(first);
  await loseVotes(single, "flip");
  expect(await single.open().catch((error: unknown) => error)).toBeInstanceOf(HardStateDamaged);
});
