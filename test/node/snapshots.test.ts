import { expect, test } from "bun:test";
import type { NodeId } from "../../src/lib/ids.ts";
import { SILENT } from "../../src/metrics/log.ts";
import { Snapshots } from "../../src/node/peers/snapshots.ts";
import type { Storage } from "../../src/node/recovery/storage.ts";
import { encodeMessage } from "../../src/raft/codec.ts";
import { configurationOf } from "../../src/raft/membership.ts";
import type { LogIndex, SnapshotOffer, Term } from "../../src/raft/types.ts";
import { SimClock } from "../tools/sim/sim-clock.ts";

const [from, to] = ["n1", "n2"] as [NodeId, NodeId];
const term = 3 as Term;

/** Offers a snapshot at index 7 to a node that has committed `committed`. @returns its reaction. */
async function offered(committed: number) {
  const snapshot = { index: 7 as LogIndex, term, configuration: configurationOf([from, to]) };
  const offer: SnapshotOffer = { type: "snapshot_offer", from, to, term, snapshot };
  const begun: unknown[] = [];
  const install = { begin: (announced: unknown) => Promise.resolve(begun.push(announced)) };
  const snapshots = new Snapshots({
    storage: { newInstall: () => install } as unknown as Storage,
    core: { term },
    log: SILENT,
    clock: new SimClock(),
    checkpointer: { without: (work) => work() },
    applier: { switched: () => {} },
    disk: { roomNeeded: () => Promise.resolve() },
    emit: (event) => {
      throw new Error(event.type);
    },
  });
  const told: SnapshotOffer[] = [];
  const sink = snapshots.sink(
    (message) => told.push(message),
    () => committed,
  );
  const begin = sink.begin({ from, term, meta: encodeMessage(offer), files: [] });
  const failure = await begin.then(
    () => null,
    (error: Error) => error.message,
  );
  return { told: told.map(({ snapshot: { index } }) => index), begun: begun.length, failure };
}

test("a snapshot of what is here already is declined, and the core tells the leader why", async () => {
  for (const committed of [7, 8, 100]) {
    const { told, begun, failure } = await offered(committed);
    expect({ told, begun }).toEqual({ told: [7] as LogIndex[], begun: 0 });
    expect(failure).toContain("has all that is in it");
  }
});

test("a snapshot of what is missing is received before anybody is told of it", async () => {
  expect(await offered(6)).toEqual({ told: [], begun: 1, failure: null });
});
