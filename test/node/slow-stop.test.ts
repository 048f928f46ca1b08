/** A stop does not wait for a slow checkpoint: the journal has everything. */
import { expect, test } from "bun:test";
import { utf8 } from "../../src/lib/bytes.ts";
import { stored } from "../tools/node/as-promises.ts";
import { SingleNode } from "../tools/node/single-node.ts";
import { Random } from "../tools/random.ts";
import { SimDisk } from "../tools/sim/sim-disk.ts";

const KEY = { namespace: "kv", key: "k" };

/** A disk on which the sync of a checkpoint never ends, once `stuck` is set. */
function slowDisk() {
  const disk = new SimDisk();
  const state = { stuck: false };
  const open = disk.open.bind(disk);
  disk.open = async (path, mode) => {
    const file = await open(path, mode);
    if (state.stuck && path.endsWith(".ckpt.tmp")) file.sync = () => new Promise(() => {});
    return file;
  };
  return { disk, state };
}

for (const stuck of [false, true]) {
  test(`a stop ${stuck ? "without" : "with"} its last checkpoint, and a start`, async () => {
    const { disk, state } = slowDisk();
    const single = new SingleNode(new Random(1), disk);
    const node = await single.open();
    const put = { ...KEY, value: utf8("v"), cas: null, ttlMs: null, timeoutMs: null };
    await single.settled(stored(node, put));
    state.stuck = stuck;
    const begin = single.clock.monotonic();
    await single.settled(node.stop());
    const waitedMs = (single.clock.monotonic() - begin) / 1000;
    if (stuck) expect(waitedMs).toBeWithin(3_000, 3_100);
    else expect(waitedMs).toBeLessThan(1_000);

    const again = new SingleNode(new Random(2), disk.snapshot());
    const restarted = await again.open();
    const found = await restarted.kvGet({ ...KEY, linearizable: false });
    expect(found).toMatchObject({ ok: true, value: utf8("v") });
    await again.settled(restarted.stop());
  });
}
