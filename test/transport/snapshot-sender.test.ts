/** The sending end of a snapshot by itself, against a receiver by hand. */
import { expect, test } from "bun:test";
import { crc32 } from "../../src/lib/crc32.ts";
import { SHARD_0 } from "../../src/lib/ids.ts";
import { decodeFrame, FrameWriter, NO_SESSION, readPayload } from "../../src/transport/envelope.ts";
import { TRANSPORT_LIMITS } from "../../src/transport/limits.ts";
import {
  readSnapshotBegin,
  readSnapshotChunk,
  type SnapshotPlace,
} from "../../src/transport/snapshot-codec.ts";
import { SnapshotSender } from "../../src/transport/snapshot-sender.ts";
import type { SnapshotSource } from "../../src/transport/snapshot-types.ts";
import { Random } from "../tools/random.ts";
import { SimClock, settle } from "../tools/sim/sim-clock.ts";
import { makeSource } from "../tools/transport/memory-nodes.ts";

const ID = "00000000000000aa";
const START: SnapshotPlace = { file: 0, position: 0, crc: 0 };

class Way {
  readonly clock = new SimClock();
  /** The messages sent: `begin`, `fresh`, or the position of a chunk. */
  readonly sent: (string | number)[] = [];
  readonly sender: SnapshotSender;
  readonly #writer = new FrameWriter();

  constructor(source: SnapshotSource, snapshotChunksInFlight = 3) {
    this.sender = new SnapshotSender({
      id: ID,
      source,
      clock: this.clock,
      limits: { ...TRANSPORT_LIMITS, snapshotChunkBytes: 10, snapshotChunksInFlight },
      way: {
        backlogBytes: () => 0,
        send: (kind, write) => {
          write(this.#writer.begin(kind));
          const address = { shard: SHARD_0, session: NO_SESSION };
          const { payload } = decodeFrame(this.#writer.finish(address), address);
          if (kind === "snapshot_begin") {
            this.sent.push(readPayload(payload, readSnapshotBegin).fresh ? "fresh" : "begin");
          } else if (kind === "snapshot_chunk") {
            this.sent.push(readPayload(payload, readSnapshotChunk).position);
          } else {
            this.sent.push(kind);
          }
          return true;
        },
      },
    });
  }

  async tell(state: "resume" | "progress", at: SnapshotPlace): Promise<void> {
    this.sender.onStatus({ id: ID, state, at });
    for (let i = 0; i < 20; i++) await settle();
  }
}

const source = makeSource(new Random(1), [100]);
const bytes = source.contents[0] ?? new Uint8Array(0);
const place = (position: number): SnapshotPlace => ({
  file: 0,
  position,
  crc: crc32(bytes.subarray(0, position)),
});

test("few chunks are on the way at a time", async () => {
  const way = new Way(source);
  expect(way.sent).toEqual(["begin"]);
  await way.tell("resume", START);
  expect(way.sent).toEqual(["begin", 0, 10, 20]);
  await way.tell("progress", place(20));
  expect(way.sent).toEqual(["begin", 0, 10, 20, 30, 40]);
  expect(way.sender.bytesConfirmed).toBe(20);
  way.sender.cancel();
});

test("it goes on only from places that it knows; from others all begins anew", async () => {
  const way = new Way(source);
  await way.tell("resume", START);
  await way.tell("progress", place(10));
  way.sender.linkUp();
  await way.tell("resume", place(20));
  expect(way.sent).toEqual(["begin", 0, 10, 20, 30, "begin", 20, 30, 40]);
  way.sender.linkUp();
  await way.tell("resume", { ...place(20), crc: 1 });
  expect(way.sent.slice(-2)).toEqual(["begin", "fresh"]);
  await way.tell("resume", START);
  expect(way.sent.slice(-3)).toEqual([0, 10, 20]);
  expect(way.sender.bytesConfirmed).toBe(0);
  way.sender.cancel();
});

test("what was read for a link that is gone is not sent on the next", async () => {
  const reads: PromiseWithResolvers<Uint8Array>[] = [];
  const [file] = source.files;
  if (file === undefined) throw new Error("no file");
  const read = (): Promise<Uint8Array> => {
    const waiting = Promise.withResolvers<Uint8Array>();
    reads.push(waiting);
    return waiting.promise;
  };
  const way = new Way({ ...source, files: [{ ...file, read }] });
  await way.tell("resume", START);
  way.sender.linkUp();
  await way.tell("resume", START);
  expect(reads.length).toBe(2);
  reads[0]?.resolve(bytes.subarray(0, 10));
  for (let i = 0; i < 5; i++) await settle();
  expect(way.sent).toEqual(["begin", "begin"]);
  reads[1]?.resolve(bytes.subarray(0, 10));
  for (let i = 0; i < 5; i++) await settle();
  expect(way.sent).toEqual(["begin", "begin", 0]);
  way.sender.cancel();
  expect(await way.sender.result).toEqual({ ok: false, reason: "cancelled" });
  expect(way.clock.nextMs).toBeNull();
});

test("old news changes nothing", async () => {
  const way = new Way(source);
  await way.tell("progress", place(10));
  await way.tell("resume", START);
  await way.tell("resume", place(50));
  await way.tell("progress", place(50));
  await way.tell("progress", { ...place(10), crc: 7 });
  expect(way.sent).toEqual(["begin", 0, 10, 20]);
  way.sender.cancel();
});

test("a source with a name that no receiver takes is a mistake of the caller", () => {
  const [file] = source.files;
  if (file === undefined) throw new Error("no file");
  expect(() => new Way({ ...source, files: [{ ...file, name: "../x" }] })).toThrow("name");
});
