/**
 * Schedules in a snapshot, in sections of one tag whose contents begin with their kind:
 *
 *     1  next number, next id of a schedule that repeats
 *     2  records that wait, in the order of their ids: id, time, topic id, partition, offset, count
 *     3  a schedule that repeats: id, name, definition, next slot, last slot, runs, missed
 */
import { type ByteReader, ByteWriter, DecodeError } from "../lib/bytes.ts";
import {
  check,
  type DigestSink,
  type PartRestorer,
  SECTION_BYTES_TARGET,
  type Section,
  type StatePart,
} from "../lib/state-part.ts";
import {
  decodeCronDefinition,
  decodeTime,
  encodeCronDefinition,
  encodeTime,
} from "./cron-format.ts";
import type { Pending } from "./pending.ts";
import { CLASSES, type Cron, classOfId, LaterState, setCron } from "./state.ts";

const TAG = 22;
const KIND_NUMBERS = 1;
const KIND_PENDING = 2;
const KIND_CRON = 3;
const U32_MAX = 0xffff_ffff;

const isUnused = ({ nextNumber, nextCronId }: LaterState): boolean =>
  nextNumber === 1 && nextCronId === 1;

function capture(state: LaterState): Iterator<Section> {
  if (isUnused(state)) return [].values();
  const pending = state.pending.capture();
  return sections(state.nextNumber, state.nextCronId, pending, [...state.crons.values()]);
}

function* sections(
  nextNumber: number,
  nextCronId: number,
  pending: readonly Iterable<Pending>[],
  crons: readonly Cron[],
): Generator<Section, undefined> {
  const writer = new ByteWriter(SECTION_BYTES_TARGET + 1024);
  const take = (): Section => {
    const body = writer.take();
    writer.clear();
    return { tag: TAG, body };
  };
  writer.u8(KIND_NUMBERS);
  writer.varint(nextNumber);
  writer.varint(nextCronId);
  yield take();
  for (const ofClass of pending) {
    for (const each of ofClass) {
      if (writer.length === 0) writer.u8(KIND_PENDING);
      writePending(writer, each);
      if (writer.length >= SECTION_BYTES_TARGET) yield take();
    }
  }
  if (writer.length > 0) yield take();
  for (const cron of crons) {
    writer.u8(KIND_CRON);
    writeCron(writer, cron);
    yield take();
  }
}

function writePending(writer: ByteWriter, each: Pending): void {
  writer.varint(each.id);
  writer.varint(each.dueAt);
  writer.varint(each.topicId);
  writer.varint(each.partition);
  writer.varint(each.offset);
  writer.varint(each.count);
}

function writeCron(writer: ByteWriter, cron: Cron): void {
  writer.varint(cron.cronId);
  writer.text(cron.name);
  encodeCronDefinition(writer, cron.definition);
  encodeTime(writer, cron.nextMs);
  encodeTime(writer, cron.lastMs);
  writer.varint(cron.runs);
  writer.varint(cron.missed);
}

class Restorer implements PartRestorer<LaterState> {
  readonly #state = new LaterState();
  readonly #lastIds = new Array<number>(CLASSES).fill(0);

  section(_tag: number, body: ByteReader): void {
    switch (body.u8()) {
      case KIND_NUMBERS:
        this.#state.nextNumber = body.varint();
        this.#state.nextCronId = body.varint();
        break;
      case KIND_PENDING:
        while (body.remaining > 0) this.#pending(body);
        break;
      case KIND_CRON:
        this.#cron(body);
        break;
      default:
        throw new DecodeError("unknown content of a section of schedules");
    }
  }

  finish(): LaterState {
    return this.#state;
  }

  #pending(body: ByteReader): void {
    const id = body.varint();
    const dueAt = body.varint();
    const [topicId, partition] = [body.varint(), body.varint()];
    const [offset, count] = [body.varint(), body.varint()];
    const itsClass = classOfId(id);
    check(itsClass < CLASSES && id > (this.#lastIds[itsClass] ?? 0), "ids are not in order");
    check(id < this.#state.nextNumber * 8, "an id was never given out");
    check(count > 0 && count <= U32_MAX && partition <= U32_MAX, "nothing waits");
    this.#lastIds[itsClass] = id;
    this.#state.pending.add({ id, dueAt, topicId, partition, offset, count });
  }

  #cron(body: ByteReader): void {
    const cronId = body.varint();
    const name = body.text();
    const definition = decodeCronDefinition(body);
    const [nextMs, lastMs] = [decodeTime(body), decodeTime(body)];
    const [runs, missed] = [body.varint(), body.varint()];
    check(cronId > 0 && cronId < this.#state.nextCronId, "a schedule is newer than the newest");
    check(!this.#state.crons.has(name), "two schedules have one name");
    setCron(this.#state, { cronId, name, definition, nextMs, lastMs, runs, missed });
  }
}

function digest(state: LaterState, sink: DigestSink): void {
  const { writer } = sink;
  writer.varint(state.nextNumber);
  writer.varint(state.nextCronId);
  for (const each of state.pending.values()) {
    writePending(writer, each);
    sink.flush();
  }
  for (const cron of [...state.crons.values()].sort((a, b) => a.cronId - b.cronId)) {
    writeCron(writer, cron);
  }
}

export const laterPart: StatePart<LaterState> = {
  tags: [TAG],
  empty: () => new LaterState(),
  capture,
  restorer: () => new Restorer(),
  digest,
  counts: ({ nextNumber, nextCronId, pending }) => [nextNumber + nextCronId - 2, pending.size],
};
