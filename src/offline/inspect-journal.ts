import type { Disk } from "../env/disk.ts";
import { decodeEntry } from "../machine/command-codec.ts";
import type { Command } from "../machine/commands.ts";
import { decodeConfChange } from "../raft/config-codec.ts";
import {
  entryTypeOf,
  KIND_ENTRY,
  KIND_RESET,
  KIND_WATERMARK,
  segmentSeed,
} from "../storage/journal/frame.ts";
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES } from "../storage/journal/segment.ts";
import { type WalkedFrame, walkFrames } from "../storage/journal/walk.ts";
import { endOfDirt } from "../storage/journal/zeros.ts";
import { type Row, shownText, timeOf, Unreadable } from "./row.ts";

const KINDS: Readonly<Record<number, string>> = {
  [KIND_ENTRY]: "entry",
  [KIND_WATERMARK]: "watermark",
  [KIND_RESET]: "reset",
};

/** A range of indexes, both inclusive. */
export type IndexRange = { readonly from: number; readonly to: number };

/**
 * Reads the header and the frames of one segment, in the order of the file. The seed of the checksums
 * comes from the header, so a file can be read outside its directory.
 *
 * @throws Unreadable if a header or payload is damaged.
 */
export async function* inspectSegment(
  disk: Disk,
  name: string,
  { from, to }: IndexRange,
): AsyncGenerator<Row, void> {
  const file = await disk.open(name, "existing");
  try {
    const capacity = await file.size();
    const header = decodeSegmentHeader(await file.read(0, SEGMENT_HEADER_BYTES));
    if (header === null) {
      const isPreallocated = (await endOfDirt(file, 0, capacity)) === 0;
      if (!isPreallocated) throw new Unreadable(name, 0, "no valid segment header");
      yield {
        json: { file: name, kind: "spare", capacity },
        text: `${name}: preallocated, all zeros`,
      };
      return;
    }
    const { id, baseIndex, baseTerm, identity } = header;
    yield {
      json: {
        file: name,
        kind: "segment",
        id,
        base_index: baseIndex,
        base_term: baseTerm,
        capacity,
      },
      text: `${name}: segment ${id}, after index ${baseIndex} (term ${baseTerm}), ${capacity} bytes`,
    };
    const segment = { file, seed: segmentSeed(identity, id), capacity };
    for await (const frame of walkFrames(segment)) {
      if (frame.payload === null) {
        throw new Unreadable(name, frame.position, `entry ${frame.index}: wrong payload checksum`);
      }
      if (frame.index >= from && frame.index <= to) yield frameRow(name, frame, frame.payload);
    }
  } finally {
    await file.close();
  }
}

function frameRow(name: string, frame: WalkedFrame, payload: Uint8Array): Row {
  const { position, index, term, length, watermark, synced } = frame;
  const kind = KINDS[frame.kind] ?? `kind ${frame.kind}`;
  const json = { file: name, position, kind, index, term, bytes: length, watermark, synced };
  const place = `@${position}`.padEnd(11);
  if (frame.kind !== KIND_ENTRY) {
    return { json, text: `${place} ${kind} ${index} term ${term}` };
  }
  const content = contentOf(entryTypeOf(frame.typeCode) ?? "", payload);
  return {
    json: { ...json, ...content.json },
    text: `${place} entry ${index} term ${term} ${length} B ${content.text}`,
  };
}

function contentOf(type: string, payload: Uint8Array): Row {
  if (type === "conf_change") {
    const { transition, changes } = decodeConfChange(payload);
    const words = changes.map((change) => `${change.type} ${change.id}`).join(", ");
    return { json: { type, transition, changes }, text: `conf_change ${words || "leave joint"}` };
  }
  if (payload.length === 0) return { json: { type, commands: [] }, text: "nothing (a new leader)" };
  const { at, commands } = decodeEntry(payload);
  const briefs = commands.map(briefOf);
  return {
    json: { type, at_ms: at, commands: briefs.map(({ json }) => json) },
    text: `${timeOf(at)} ${briefs.map(({ text }) => text).join("; ")}`,
  };
}

/** The fields of a command in their order; byte fields as their length, keys as text. */
function briefOf(command: Command): Row {
  const fields = Object.entries(command).filter(([name]) => name !== "type");
  const json = Object.fromEntries(fields.map(([name, value]) => [name, briefValue(name, value)]));
  const words = fields
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}=${briefWord(name, value)}`);
  return { json: { type: command.type, ...json }, text: [command.type, ...words].join(" ") };
}

function briefValue(name: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return name === "key" ? shownText(value) : `${value.length} B`;
  if (typeof value !== "object" || value === null) return value;
  // These are digests of an idempotency key.
  return Object.fromEntries(
    Object.entries(value).map(([part, bytes]) => [
      part,
      bytes instanceof Uint8Array ? Buffer.from(bytes).toString("hex") : bytes,
    ]),
  );
}

function briefWord(name: string, value: unknown): string {
  const brief = briefValue(name, value);
  if (typeof brief === "string") return brief.includes(" ") ? brief.replace(" ", "") : brief;
  return typeof brief === "object" ? "yes" : String(brief);
}
