/** A replicated state without a node, for measurements of its memory and of its snapshot. */
import { heapStats } from "bun:jsc";
import { ByteWriter } from "../../src/lib/bytes.ts";
import type { Millis } from "../../src/lib/ids.ts";
import { closeEntry, encodeCommand, openEntry } from "../../src/machine/command-codec.ts";
import type { Command } from "../../src/machine/commands.ts";
import type { Machine } from "../../src/machine/machine.ts";
import { RecordedEffects } from "../../test/tools/machine/support.ts";

/** Remembers no result and no record. */
export class NoEffects extends RecordedEffects {
  override result(): void {}
  override append(): void {}
}

export function bytesInUse(): number {
  Bun.gc(true);
  Bun.gc(true);
  const { heapSize, extraMemorySize } = heapStats();
  return heapSize + extraMemorySize;
}

export function entryOf(at: number, commands: readonly Command[]): Uint8Array {
  const writer = new ByteWriter(commands.length * 64);
  const start = openEntry(writer);
  for (const command of commands) encodeCommand(writer, command);
  closeEntry(writer, start, at as Millis, commands.length);
  return writer.take();
}

export function snapshotBytes(machine: Machine): number {
  const snapshot = machine.beginSnapshot();
  let bytes = 0;
  for (let piece = snapshot.next(1 << 16); piece !== null; piece = snapshot.next(1 << 16)) {
    bytes += piece.length;
  }
  return bytes;
}
