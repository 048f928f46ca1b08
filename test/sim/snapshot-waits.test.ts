/**
 * Goal: a reader that waits is woken by the records that a snapshot brings. Method: whole nodes; a
 * follower is cut off, the journal goes on without it, and it gets a snapshot while somebody waits.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { Script } from "../tools/sim/script.ts";
import type { SimNode } from "../tools/sim/sim-node.ts";

setDefaultTimeout(120_000);

const WAIT_MS = 60_000;
const SOON_MS = 20_000;
const RECORD = encodeRecord(null, new Uint8Array(2_000));

function isolate({ cluster }: Script, id: string): void {
  for (const other of cluster.nodes) {
    cluster.networks.block(id, other.id);
    cluster.networks.block(other.id, id);
    // Messages on their way are lost with the connection.
    cluster.networks.cut(id, other.id);
  }
}

const write = (script: Script) =>
  script.insist(
    (node) =>
      new Promise<{ ok: boolean }>((done) =>
        node.produce(
          {
            topic: "t",
            partition: 0,
            key: null,
            idempotencyKey: null,
            records: RECORD,
            timeoutMs: null,
            rocket: false,
          },
          done,
        ),
      ),
    ({ ok }) => ok,
  );

/** Waits at the follower for a record at `offset`. */
function wait({ life, node }: SimNode, offset: number): { woken: boolean } {
  const state = { woken: false };
  const { signal } = new AbortController();
  life.run(() => {
    const place = { topic: "t", partition: 0, topicId: 1 };
    void node
      ?.waitForRecords({ ...place, offset, timeoutMs: WAIT_MS, signal })
      .then(() => Object.assign(state, { woken: true }));
  });
  return state;
}

/** The others drop what the follower lacks from their journals: two checkpoints lie behind it. */
async function forget(script: Script, follower: SimNode): Promise<void> {
  for (let checkpoint = 0; checkpoint < 2; checkpoint++) {
    await script.create(`filler-${checkpoint}`);
    await script.pass(200);
    for (const { id } of script.cluster.nodes) {
      if (id !== follower.id) await script.ask((node) => node.compact(), id);
    }
  }
}

async function lagging() {
  const snapshots = { sent: 0 };
  const script = new Script({ spares: 0, journalSegmentBytes: 4096 }, (line) => {
    if (line.includes("sending snapshot")) snapshots.sent++;
  });
  script.start();
  await script.create("t");
  await script.until("all have it", () =>
    script.cluster.nodes.every(({ node }) => node?.describeTopic("t").ok === true),
  );
  const follower = script.cluster.nodes.find(({ node }) => node?.health().role === "follower");
  isolate(script, (follower as SimNode).id);
  return { script, snapshots, follower: follower as SimNode };
}

test("a wait on a follower ends when a snapshot brings the record", async () => {
  const { script, snapshots, follower } = await lagging();
  const state = wait(follower, 0);
  for (let i = 0; i < 40; i++) await write(script);
  await forget(script, follower);
  snapshots.sent = 0;
  script.cluster.networks.heal();
  await script.until("the wait ends", () => state.woken, SOON_MS);
  expect(snapshots.sent).toBeGreaterThan(0);
  const page = await script.ask(
    (node) =>
      node.consume({
        topic: "t",
        partition: 0,
        group: "g",
        offset: 0,
        limit: 10,
        maxBytes: 1 << 20,
        linearizable: false,
      }),
    follower.id,
  );
  expect(page).toMatchObject({ ok: true, endOffset: 40 });
});

test("a wait on a follower ends when a snapshot takes the topic away", async () => {
  const { script, snapshots, follower } = await lagging();
  const state = wait(follower, 0);
  for (let i = 0; i < 40; i++) await write(script);
  await script.insist(
    (node) => node.deleteTopic("t"),
    ({ ok }) => ok,
  );
  await forget(script, follower);
  snapshots.sent = 0;
  script.cluster.networks.heal();
  await script.until("the wait ends", () => state.woken, SOON_MS);
  expect(snapshots.sent).toBeGreaterThan(0);
});
