/** Goal: no root is removed that a checkpoint in force needs. */
import { expect, test } from "bun:test";
import { removeStaleRoots } from "../../src/storage/checkpoints/stale-roots.ts";
import { SimDisk } from "../tools/sim/sim-disk.ts";

const CHECKPOINTS = "shards/0/checkpoints";
const PARTITIONS = "shards/0/partitions";
const nameOf = (index: number, suffix: string) => `${String(index).padStart(20, "0")}${suffix}`;

async function diskWith(checkpoints: readonly string[], roots: readonly string[]) {
  const disk = new SimDisk();
  await disk.makeDirectory(CHECKPOINTS);
  for (const name of checkpoints) {
    await (await disk.open(`${CHECKPOINTS}/${name}`, "create")).close();
  }
  for (const root of roots) {
    await disk.makeDirectory(`${PARTITIONS}${root}/1-0`);
    await (await disk.open(`${PARTITIONS}${root}/1-0/segment`, "create")).close();
  }
  return disk;
}

test.each([
  {
    name: "the newest index counts",
    checkpoints: [nameOf(5, ".ckpt"), nameOf(9, "@2.ckpt"), nameOf(7, "@1.ckpt")],
    kept: [nameOf(9, "@2.ckpt")],
    roots: ["partitions@2"],
  },
  {
    name: "of two at one index, the higher root counts",
    checkpoints: [nameOf(5, ".ckpt"), nameOf(5, "@2.install"), nameOf(5, "@1.ckpt")],
    kept: [nameOf(5, "@2.install")],
    roots: ["partitions@2"],
  },
  {
    name: "what is being received does not count",
    checkpoints: [nameOf(5, ".ckpt"), nameOf(9, "@2.part")],
    kept: [nameOf(5, ".ckpt")],
    roots: ["partitions"],
  },
])("$name", async ({ checkpoints, kept, roots }) => {
  const disk = await diskWith(checkpoints, ["", "@1", "@2"]);
  const scope = { disk, checkpoints: CHECKPOINTS, partitionsDirectory: PARTITIONS, inUse: [] };
  await removeStaleRoots(scope);
  expect(await disk.list(CHECKPOINTS)).toEqual([...kept]);
  const left = (await disk.list("shards/0")).filter((name) => name.startsWith("partitions"));
  expect(left).toEqual([...roots]);
});
