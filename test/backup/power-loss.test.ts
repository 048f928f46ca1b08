// Goal: power that fails at any moment of a restore, and a disk that fails at any call, leave a
// directory that is refused, empty or whole. Method: a simulated disk; before each of its operations
// it is looked at what a crash would leave, with what is not synced lost, kept or torn.
import { expect, setDefaultTimeout, test } from "bun:test";
import { type NodeId, SHARD_0 } from "../../src/lib/ids.ts";
import { restoreBackup } from "../../src/offline/restore.ts";
import { verifyDataDir } from "../../src/offline/verify.ts";
import { checkpointIndex } from "../../src/storage/checkpoints/names.ts";
import { identityOf } from "../../src/storage/data-dir.ts";
import { decodeSlots } from "../../src/storage/hard-state.ts";
import { sampleArchive, sourceOf } from "../tools/backup/sample.ts";
import { Random } from "../tools/random.ts";
import { type Fate, SimDisk } from "../tools/sim/sim-disk.ts";

setDefaultTimeout(120_000);
const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const REPLAY = `(SEED=${SEED} bun test test/backup/power-loss.test.ts)`;
const FATES: readonly Fate[] = ["lost", "kept", "torn", "zeros"];

const archive = sampleArchive();
const nextTurn = () => Promise.resolve();

const restore = (disk: SimDisk) =>
  restoreBackup({
    disk,
    source: sourceOf(archive()),
    archive: "the archive",
    nodeId: "node1" as NodeId,
    identity: { clusterId: "cluster", storageId: "disk" },
    nextTurn,
    received: () => undefined,
  });

type State = "refused" | "empty" | "whole";

async function stateOf(image: SimDisk, what: string): Promise<State> {
  if ((await image.list("")).includes("RESTORING")) return "refused";
  if (image.paths().length === 0) return "empty";
  const { findings } = await verifyDataDir({ disk: image, inUse: false, nextTurn });
  expect(
    findings.filter(({ kind }) => kind === "damage"),
    what,
  ).toEqual([]);
  // Without these two it would be the whole directory of a node that knows nothing.
  const [checkpoint = ""] = await image.list("shards/0/checkpoints");
  expect(checkpoint, what).toEndWith("@1.install");
  const hardState = (await image.readWhole("shards/0/hard-state")) ?? new Uint8Array(0);
  const { a } = decodeSlots(hardState, identityOf("disk", SHARD_0), "hard-state");
  expect(a?.state, what).toMatchObject({ term: 1, commit: checkpointIndex(checkpoint) });
  return "whole";
}

test(`power may fail at any moment ${REPLAY}`, async () => {
  const random = new Random(SEED);
  const images: { what: string; image: SimDisk }[] = [];
  const disk: SimDisk = new SimDisk({
    onCall: (operation, path) => {
      if (operation === "read" || operation === "list" || operation === "size") return;
      const what = `before ${operation} ${path}`;
      images.push({ what, image: disk.afterCrash(() => "lost", random) });
      images.push({ what, image: disk.afterCrash(() => "kept", random) });
      images.push({ what, image: disk.afterCrash(() => random.pick(FATES), random) });
      // Only the last change of a name survives of all that waits; in the end it is that of the
      // mark.
      const last = disk.pending - 1;
      const lastKept = (each: number): Fate => (each === last ? "kept" : "lost");
      images.push({ what, image: disk.afterCrash(lastKept, random) });
    },
  });
  await restore(disk);
  const counts = { refused: 0, empty: 0, whole: 0 };
  for (const { what, image } of images) counts[await stateOf(image, what)]++;
  expect(images.length).toBeGreaterThan(100);
  expect(counts.refused).toBeGreaterThan(50);
  // When it has said that it is done, all is durable.
  const after = disk.afterCrash(() => "lost", random);
  expect(await stateOf(after, "after")).toBe("whole");
  console.log(`${images.length} crashes: ${JSON.stringify(counts)}`);
});

test(`a disk that fails at any call leaves nothing that looks whole ${REPLAY}`, async () => {
  const probe = new SimDisk();
  await restore(probe);
  const states = new Set<State>();
  for (let call = 0; call < probe.calls; call++) {
    for (const failWith of ["eio", "full"] as const) {
      const disk = new SimDisk();
      disk.faults.failCall = call;
      disk.faults.failWith = failWith;
      const outcome = await restore(disk).then(
        () => "restored",
        () => "failed",
      );
      const state = await stateOf(disk, `call ${call}`);
      // Only what came after the one step may have failed: then all of it is there.
      if (outcome === "restored") expect(state).toBe("whole");
      states.add(state);
    }
  }
  expect(states.has("empty")).toBe(true);
});
