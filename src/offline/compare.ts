import type { PartitionState } from "../broker/state.ts";
import type { MachineState } from "../machine/state.ts";
import type { PartitionRecord } from "../storage/partitions/log.ts";
import { readManifest } from "../storage/partitions/manifest.ts";

/**
 * Compares the two descriptions of each partition in a checkpoint: the machine has what clients may
 * see, the manifest has what the files contain.
 *
 * @returns the differences as texts; empty if there are none.
 * @throws DecodeError if the manifest cannot be read.
 */
export function compareWithMachine(manifest: Uint8Array, { broker }: MachineState): string[] {
  const wrong: string[] = [];
  let partitions = 0;
  readManifest(manifest, (record) => {
    const { topicId, partition } = record;
    const name = `partition ${topicId}-${partition}`;
    const state = broker.topicsById.get(topicId)?.partitions[partition];
    partitions++;
    if (state === undefined) wrong.push(`the manifest has ${name}, the machine has not`);
    else wrong.push(...differences(record, state).map((what) => `${name}: ${what}`));
  });
  // The machine's own count leaves out the topics of streams.
  const expected = broker.topicsById
    .values()
    .reduce((sum, topic) => sum + topic.partitions.length, 0);
  if (wrong.length === 0 && partitions !== expected) {
    wrong.push(`the manifest has ${partitions} partitions, the machine ${expected}`);
  }
  return wrong;
}

function differences(record: PartitionRecord, state: PartitionState): string[] {
  const pairs: readonly (readonly [string, number, number])[] = [
    ["low watermark", record.lowWatermark, state.lowWatermark],
    ["end offset", record.endOffset, state.endOffset],
    ["bytes", record.endBytes, state.bytesEnd],
  ];
  return pairs
    .filter(([, files, machine]) => files !== machine)
    .map(([what, files, machine]) => `${what} ${files} in the manifest, ${machine} in the machine`);
}
