/**
 * Exports in a snapshot, in sections of one tag whose contents begin with their kind:
 *
 *     1  next id
 *     2  an export: id, name, topic id, time of creation, definition, flags, manifests, partitions,
 *        files that are not in a full manifest
 *     3  a deleted export that is not finished: time of deletion, and the same as 2
 *     4  files of an export that are to be removed: its id, files
 */
import { type ByteReader, type ByteWriter, DecodeError } from "../lib/bytes.ts";
import {
  check,
  type DigestSink,
  type PartRestorer,
  type Section,
  type StatePart,
  section,
} from "../lib/state-part.ts";
import { EXPORTS_MAX, GIVEN_UP_MAX, MANIFEST_FILES_MAX, UNLISTED_MAX } from "./definition.ts";
import { decodeDefinition, encodeDefinition } from "./format.ts";
import {
  addExport,
  type ExportedFile,
  ExportPartition,
  ExportState,
  ExportsState,
  exportOfId,
  formatBytesOf,
  type GivenUpFile,
  type OpenRange,
} from "./state.ts";

const TAG = 26;
const KIND_NUMBERS = 1;
const KIND_EXPORT = 2;
const KIND_CLOSING = 3;
const KIND_GIVEN_UP = 4;

const PAUSED = 1;
const OPEN = 1;
/** The definition of an open range is the one of the export. */
const SAME = 2;
/** Commits of files that were under way when the list was full can make it longer. */
const FILES_MAX = MANIFEST_FILES_MAX + UNLISTED_MAX + 1024;

function capture(state: ExportsState): Iterator<Section> {
  if (state.nextExportId === 1) return [].values();
  const sections = [
    section(TAG, (writer) => {
      writer.u8(KIND_NUMBERS);
      writer.varint(state.nextExportId);
    }),
  ];
  for (const one of state.byName.values()) {
    sections.push(
      section(TAG, (writer) => {
        writer.u8(KIND_EXPORT);
        writeExport(writer, one);
      }),
    );
  }
  for (const one of state.closing.values()) {
    sections.push(
      section(TAG, (writer) => {
        writer.u8(KIND_CLOSING);
        writer.varint(one.closedAtMs);
        writeExport(writer, one);
      }),
    );
  }
  for (const one of [...state.byName.values(), ...state.closing.values()]) {
    if (one.givenUp.length > 0) sections.push(givenUpSection(one));
  }
  return sections.values();
}

const givenUpSection = (one: ExportState): Section =>
  section(TAG, (writer) => {
    writer.u8(KIND_GIVEN_UP);
    writer.varint(one.exportId);
    writer.varint(one.givenUp.length);
    writeGivenUp(writer, one);
  });

function writeGivenUp(writer: ByteWriter, { givenUp }: ExportState): void {
  for (const { partition, first, end, day } of givenUp) {
    for (const number of [partition, first, end, day]) writer.varint(number);
  }
}

function writeExport(writer: ByteWriter, one: ExportState): void {
  writer.varint(one.exportId);
  writer.text(one.name);
  writer.varint(one.topicId);
  writer.varint(one.createdAtMs);
  encodeDefinition(writer, one.definition);
  writer.u8(one.isPaused ? PAUSED : 0);
  for (const number of [one.manifest, one.previous, one.listed, one.sealed]) writer.varint(number);
  writer.varint(one.partitions.length);
  for (const partition of one.partitions) writePartition(writer, one, partition);
  writer.varint(one.files.length);
  for (const file of one.files) for (const number of numbersOf(file)) writer.varint(number);
}

function writePartition(writer: ByteWriter, one: ExportState, partition: ExportPartition): void {
  const { next, flushTo, files, rows, bytes, lost, open } = partition;
  for (const number of [next, flushTo, files, rows, bytes, lost]) writer.varint(number);
  if (open === null) {
    writer.u8(0);
    return;
  }
  const isSame = open.definition === one.definition;
  writer.u8(isSame ? OPEN | SAME : OPEN);
  for (const number of [open.first, open.end, open.day]) writer.varint(number);
  if (!isSame) encodeDefinition(writer, open.definition);
}

const numbersOf = (file: ExportedFile): readonly number[] => [
  file.partition,
  file.first,
  file.end,
  file.day,
  file.rows,
  file.bytes,
  file.committedAtMs,
];

class Restorer implements PartRestorer<ExportsState> {
  readonly #state = new ExportsState();

  section(_tag: number, body: ByteReader): void {
    switch (body.u8()) {
      case KIND_NUMBERS:
        this.#state.nextExportId = body.varint();
        break;
      case KIND_EXPORT:
        this.#add(this.#export(body));
        break;
      case KIND_CLOSING:
        this.#addClosing(body.varint(), this.#export(body));
        break;
      case KIND_GIVEN_UP:
        this.#givenUp(body);
        break;
      default:
        throw new DecodeError("unknown content of a section of exports");
    }
  }

  finish(): ExportsState {
    return this.#state;
  }

  #add(one: ExportState): void {
    check(!this.#state.byName.has(one.name), "two exports have one name");
    check(this.#state.byName.size < EXPORTS_MAX, "there are too many exports");
    addExport(this.#state, one);
  }

  #addClosing(closedAtMs: number, one: ExportState): void {
    check(closedAtMs > 0, "a deleted export has no time of deletion");
    one.closedAtMs = closedAtMs;
    this.#state.closing.set(one.exportId, one);
    this.#state.formatBytes += formatBytesOf(one.definition);
  }

  #givenUp(body: ByteReader): void {
    const one = exportOfId(this.#state, body.varint());
    check(one !== undefined, "files of no export are to be removed");
    const count = body.varint();
    check(count <= GIVEN_UP_MAX, "too many files are to be removed");
    if (one !== undefined) one.givenUp = Array.from({ length: count }, () => readGivenUp(body));
  }

  #export(body: ByteReader): ExportState {
    const exportId = body.varint();
    const name = body.text();
    const topicId = body.varint();
    const createdAtMs = body.varint();
    const definition = decodeDefinition(body);
    check(
      exportId > 0 && exportId < this.#state.nextExportId,
      "an export is newer than the newest",
    );
    check(exportOfId(this.#state, exportId) === undefined, "two exports have one id");
    const flags = body.u8();
    check(flags <= PAUSED, "unknown flags of an export");
    const [manifest, previous] = [body.varint(), body.varint()];
    const [listed, sealed] = [body.varint(), body.varint()];
    const count = body.varint();
    check(count >= 1 && count <= 1024, "an export has 1 to 1024 partitions");
    const partitions = Array.from({ length: count }, (_, at) =>
      readPartition(body, at, definition),
    );
    const one = new ExportState(exportId, name, topicId, createdAtMs, definition, partitions);
    one.isPaused = flags === PAUSED;
    one.manifest = manifest;
    one.previous = previous;
    one.listed = listed;
    one.sealed = sealed;
    const files = body.varint();
    check(files <= FILES_MAX, "an export has too many files in no manifest");
    check(listed <= files && sealed <= files && previous <= manifest, "a manifest has no files");
    one.files = Array.from({ length: files }, () => readFile(body));
    return one;
  }
}

const readGivenUp = (body: ByteReader): GivenUpFile => ({
  partition: body.varint(),
  first: body.varint(),
  end: body.varint(),
  day: body.varint(),
});

function readPartition(
  body: ByteReader,
  number: number,
  definition: ExportState["definition"],
): ExportPartition {
  const partition = new ExportPartition(number, body.varint());
  partition.flushTo = body.varint();
  partition.files = body.varint();
  partition.rows = body.varint();
  partition.bytes = body.varint();
  partition.lost = body.varint();
  partition.open = readOpen(body, definition);
  check(
    partition.open === null || partition.open.first === partition.next,
    "an open range is not the next one",
  );
  return partition;
}

function readOpen(body: ByteReader, definition: ExportState["definition"]): OpenRange | null {
  const flags = body.u8();
  if (flags === 0) return null;
  check(flags === OPEN || flags === (OPEN | SAME), "unknown flags of an open range");
  const [first, end, day] = [body.varint(), body.varint(), body.varint()];
  check(end > first, "an open range is empty");
  return { first, end, day, definition: flags === OPEN ? decodeDefinition(body) : definition };
}

const readFile = (body: ByteReader): ExportedFile => ({
  partition: body.varint(),
  first: body.varint(),
  end: body.varint(),
  day: body.varint(),
  rows: body.varint(),
  bytes: body.varint(),
  committedAtMs: body.varint(),
});

function digest(state: ExportsState, sink: DigestSink): void {
  sink.writer.varint(state.nextExportId);
  const all = [...state.byName.values(), ...state.closing.values()];
  for (const one of all.sort((a, b) => a.exportId - b.exportId)) {
    writeExport(sink.writer, one);
    if (one.closedAtMs > 0) sink.writer.varint(one.closedAtMs);
    writeGivenUp(sink.writer, one);
    sink.flush();
  }
}

export const exportsPart: StatePart<ExportsState> = {
  tags: [TAG],
  empty: () => new ExportsState(),
  capture,
  restorer: () => new Restorer(),
  digest,
  counts: ({ nextExportId, byId, closing }) => [nextExportId - 1, byId.size + closing.size],
};
