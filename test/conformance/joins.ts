/** CONTRACT 10: joins. */
import { describe, expect, test } from "bun:test";
import {
  AVRO,
  avro,
  BIG,
  PROTO,
  proto,
  StreamClient,
  textOf,
} from "../tools/conformance/stream-samples.ts";
import type { Json, TargetOf } from "../tools/conformance/target.ts";

export function register(target: TargetOf): void {
  const client = new StreamClient(target);
  const join = (body: Json) => client.join(body);

  describe("join", () => {
    const LEFT = [
      { id: 7, t: 1000, l: "a" },
      { id: 8, t: 2000, l: "b" },
      { id: "7", t: 1000, l: "c" },
    ];
    const RIGHT = [
      { uid: 7, t: 1500, r: "x" },
      { uid: 9, t: 1500, r: "y" },
      { uid: 8, t: 9000, r: "z" },
    ];
    const twoSides = async (left: readonly unknown[] = LEFT, right: readonly unknown[] = RIGHT) => {
      const topic = await client.filled(left);
      await client.fill(topic, right, 1);
      return {
        left: { topic, partition: 0 },
        right: { topic, partition: 1 },
        on: { left_key: "id", right_key: "uid" },
        window: { size_ms: 1000, time_field: "t", allowed_lateness_ms: 100_000 },
      };
    };
    const briefly = (body: Json) =>
      (body["rows"] as Json[]).map(({ key, left, right }) => [
        key,
        (left as Json | null)?.["l"] ?? null,
        (right as Json | null)?.["r"] ?? null,
      ]);

    test("a pair has equal keys and lies within the window", async () => {
      const { body } = await join(await twoSides());
      expect(body).toMatchObject({
        ok: true,
        rows: [
          {
            key: "7",
            left_ts_ms: 1000,
            right_ts_ms: 1500,
            left: LEFT[0] as Json,
            right: RIGHT[0] as Json,
          },
        ],
        next_offsets: { left: 3, right: 3 },
        stats: { left_scanned: 3, right_scanned: 3, rows: 1, late: 0, dedupe_once: false },
      });
    });

    for (const [type, rows] of [
      ["inner", [["7", "a", "x"]]],
      [
        "left",
        [
          ["7", "a", "x"],
          ["8", "b", null],
          ["7", "c", null],
        ],
      ],
      [
        "right",
        [
          ["7", "a", "x"],
          ["9", null, "y"],
          ["8", null, "z"],
        ],
      ],
      [
        "full",
        [
          ["7", "a", "x"],
          ["8", "b", null],
          ["7", "c", null],
          ["9", null, "y"],
          ["8", null, "z"],
        ],
      ],
    ] as const) {
      test(`${type}: rows by left offset, then right offset; right-only rows last`, async () => {
        const { body } = await join({ ...(await twoSides()), join: { type } });
        expect(briefly(body)).toEqual(rows as unknown as ReturnType<typeof briefly>);
      });
    }

    test("a missing side is null, or {} if asked for; a matched side is whole or projected", async () => {
      const request = await twoSides();
      const emit = { left_fields: ["l"], missing_as: "empty" };
      const { body } = await join({ ...request, join: { type: "left" }, emit });
      const rows = body["rows"] as Json[];
      expect(rows[0]).toMatchObject({ left: { l: "a" }, right: RIGHT[0] as Json });
      expect(rows[1]).toMatchObject({ left: { l: "b" }, right: {}, right_ts_ms: null });
    });

    test("keys of several fields", async () => {
      const request = await twoSides(
        [
          { a: 1, b: "x", t: 0 },
          { a: 1, b: "y", t: 0 },
        ],
        [{ c: 1, d: "y", t: 0 }],
      );
      const on = { left_keys: ["a", "b"], right_keys: ["c", "d"] };
      const { body } = await join({ ...request, on });
      expect((body["rows"] as Json[]).map(({ key }) => key)).toEqual(["1|y"]);
    });

    test("dedupe_once takes the closest pairs, each record once", async () => {
      const left = [0, 10].map((t, i) => ({ id: 1, t, l: `l${i}` }));
      const right = [9, 12].map((t, i) => ({ uid: 1, t, r: `r${i}` }));
      const request = await twoSides(left, right);
      for (const once of [{ dedupe_once: true }, { dedupe: { mode: "once" } }]) {
        const { body } = await join({ ...request, ...once });
        expect(briefly(body)).toEqual([
          ["1", "l0", "r1"],
          ["1", "l1", "r0"],
        ]);
        expect(body["stats"]).toMatchObject({ dedupe_once: true });
      }
    });

    test("records in order of time are never late, however long ago they are", async () => {
      const hours = Array.from({ length: 24 }, (_, i) => i * 3_600_000);
      const request = await twoSides(
        hours.map((t, id) => ({ id, t })),
        hours.map((t, uid) => ({ uid, t: t + 60_000 })),
      );
      const { body } = await join({ ...request, window: { size_ms: 300_000, time_field: "t" } });
      expect(body["rows"]).toHaveLength(24);
      expect(body).toMatchObject({ truncated: false, stats: { late: 0, rows: 24 } });
    });

    test("a side that ends at its limit makes the answer truncated", async () => {
      const request = await twoSides();
      const limited = { ...request, left: { ...request.left, limit: 2 } };
      const { body } = await join(limited);
      expect(body).toMatchObject({
        truncated: true,
        next_offsets: { left: 2, right: 3 },
        stats: { truncated: true },
      });
      const exact = { ...request, left: { ...request.left, limit: 3 } };
      expect((await join(exact)).body["truncated"]).toBe(false);
    });

    test("late records are dropped and counted", async () => {
      const request = await twoSides(
        [
          { id: 1, t: 0 },
          { id: 1, t: 10_000 },
          { id: 1, t: 100 },
        ],
        [
          { uid: 1, t: 500 },
          { uid: 1, t: 10_000 },
          { uid: 1, t: 9_500 },
          { uid: 1, t: 8_999 },
        ],
      );
      const window = { size_ms: 1000, time_field: "t" };
      const { body } = await join({ ...request, window, join: { type: "full" } });
      expect(body["stats"]).toMatchObject({ late: 2, watermark_ms: 10_000, rows: 3 });
    });

    test("Avro and Protobuf meet in one join, with 64-bit keys", async () => {
      const topic = await client.topic("mixed");
      for (const id of [BIG, BIG - 1n]) await client.produce(topic, avro(id, `n${id}`));
      await client.produce(topic, proto(BIG, "order"), "partition=1");
      await client.produce(topic, "\u0008", "partition=1");
      const answer = await join({
        left: { topic, partition: 0, decode: { type: "avro", schema_text: AVRO } },
        right: { topic, partition: 1, decode: { type: "proto", schema_text: PROTO } },
        on: { left_key: "id", right_key: "id" },
      });
      expect(answer.body["stats"]).toMatchObject({ rows: 1, undecodable: 1 });
      const text = textOf(answer.bytes);
      expect(text).toContain(`"key":"${BIG}"`);
      expect(text).toContain(`"left":{"id":${BIG},"name":"n${BIG}"}`);
      expect(text).toContain(`"right":{"id":${BIG},"note":"order"}`);
    });

    test("max_rows ends a page, and next_offsets go on without loss or repeats", async () => {
      const many = Array.from({ length: 30 }, (_, i) => i);
      const request = await twoSides(
        many.map((id) => ({ id, t: id, l: id })),
        many.map((uid) => ({ uid, t: uid, r: uid })),
      );
      const seen: unknown[] = [];
      let offsets: Json = { left: 0, right: 0 };
      for (let pages = 0; pages < 10; pages++) {
        const { body } = await join({
          ...request,
          left: { ...request.left, offset: offsets["left"] },
          right: { ...request.right, offset: offsets["right"] },
          emit: { max_rows: 7 },
        });
        seen.push(...(body["rows"] as Json[]).map(({ key }) => key));
        offsets = body["next_offsets"] as Json;
        if ((body["stats"] as Json)["truncated"] === false) break;
      }
      expect(seen).toEqual(many.map(String));
    });
  });
}
