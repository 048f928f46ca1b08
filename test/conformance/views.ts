/** CONTRACT 10: views. */
import { describe, expect, test } from "bun:test";
import { expectError } from "../tools/conformance/expectations.ts";
import { Client, freshName, type Json, type TargetOf } from "../tools/conformance/target.ts";

export function register(target: TargetOf): void {
  const client = new Client(target);
  const put = (view: string, body: Json) => client.ask(`PUT /broker/views/${view}`, { body });
  const get = (view: string) => client.ask(`GET /broker/views/${view}`);
  const produce = async (topic: string, values: readonly unknown[], partition: number) => {
    const lines = values.map((value) => JSON.stringify(value)).join("\n");
    await client.ask(`POST /broker/topics/${topic}/produce-ndjson?partition=${partition}`, {
      body: lines,
    });
  };
  /** The answer of the view once it has read everything. */
  const settled = async (view: string): Promise<Json> => {
    for (let i = 0; i < 200; i++) {
      const { body, status } = await get(view);
      if (status === 200 && body["lag"] === 0) return body;
      await Bun.sleep(20);
    }
    throw new Error(`view ${view} does not catch up`);
  };
  const countsOf = (body: Json) =>
    Object.fromEntries((body["aggregates"] as Json[]).map((row) => [row["key"], row["count"]]));
  const byRegion = (topic: string) => ({
    source: { topic },
    aggregate: { group_by: ["region"], measures: [{ op: "sum", field: "x" }] },
  });
  const viewed = async () => {
    const topic = await client.topic("viewed");
    await produce(topic, [{ region: "us", x: 1 }, { region: "eu", x: 2 }, 7], 0);
    const view = freshName("view");
    expect((await put(view, byRegion(topic))).body).toEqual({ ok: true, view, created: true });
    return { topic, view };
  };

  describe("views", () => {
    test("a view has what was there before it, and what comes", async () => {
      const { topic, view } = await viewed();
      expect(countsOf(await settled(view))).toEqual({
        "region=eu": 1,
        "region=us": 1,
        "region=null": 1,
      });
      await produce(
        topic,
        [
          { region: "us", x: 9007199254740991 },
          { region: "us", x: 1 },
        ],
        1,
      );
      const body = await settled(view);
      expect(body).toMatchObject({
        ok: true,
        view,
        source: {
          topic,
          partitions: [
            { partition: 0, next_offset: 3 },
            { partition: 1, next_offset: 2 },
          ],
          consumed: 5,
          undecodable: 0,
          skipped: 0,
        },
        lag: 0,
      });
      expect(new TextDecoder().decode((await get(view)).bytes)).toContain(
        '"count":3,"sum_x":9007199254740993',
      );
    });

    test("what was acknowledged is in the next answer", async () => {
      const { topic, view } = await viewed();
      for (let i = 1; i <= 5; i++) {
        await produce(topic, [{ region: "ap" }], 1);
        expect(countsOf((await get(view)).body)["region=ap"]).toBe(i);
      }
    });

    test("of one partition, from an offset, with a filter and a window", async () => {
      const { topic } = await viewed();
      const view = freshName("view");
      await produce(
        topic,
        [
          { at: 3, x: 1 },
          { at: 14, x: 1 },
          { at: 15, x: 2 },
        ],
        1,
      );
      await put(view, {
        source: { topic, partition: 1, offset: 1 },
        filter: [{ field: "x", op: "eq", value: 1 }],
        window: { size_ms: 10, time_field: "at" },
      });
      const body = await settled(view);
      expect(body["aggregates"]).toEqual([
        { key: "", group: {}, count: 1, window_start_ms: 10, window_end_ms: 20 },
      ]);
      expect((body["source"] as Json)["partitions"]).toEqual([{ partition: 1, next_offset: 3 }]);
    });

    test("windows age out by number, groups and age; what is left stays complete", async () => {
      const { topic } = await viewed();
      const values = [10, 30, 20, 11, 40, 12, 50, 35, 51].map((at) => ({ at, d: at % 2 }));
      await produce(topic, values, 1);
      const kept = async (retain: Json) => {
        const view = freshName("view");
        const put_ = await put(view, {
          source: { topic, partition: 1 },
          window: { size_ms: 10, time_field: "at" },
          aggregate: { group_by: ["d"] },
          retain,
        });
        expect(put_.status).toBe(200);
        const body = await settled(view);
        const rows = (body["aggregates"] as Json[]).map((row) => [
          row["window_start_ms"],
          row["key"],
          row["count"],
        ]);
        return { rows, source: body["source"] as Json, truncated: body["truncated"] };
      };
      const newest = [
        [40, "d=0", 1],
        [50, "d=0", 1],
        [50, "d=1", 1],
      ];
      const byCount = await kept({ windows: 2 });
      expect(byCount.rows).toEqual(newest);
      expect(byCount.source).toMatchObject({ consumed: 9, retained_from_ms: 40, overflow: 0 });
      expect(byCount.truncated).toBe(false);
      expect((await kept({ groups: 3 })).rows).toEqual(newest);
      expect((await kept({ groups: 4 })).rows).toEqual(newest);
      expect((await kept({ age_ms: 5 })).rows).toEqual(newest);
      expect((await kept({})).rows).toHaveLength(8);
    });

    test("what a view keeps is checked", async () => {
      const { topic } = await viewed();
      const windowed = { source: { topic }, window: { size_ms: 10 }, aggregate: {} };
      for (const [retain, field] of [
        [{ windows: 0 }, "retain.windows"],
        [{ groups: 100_001 }, "retain.groups"],
        [{ age_ms: "1d" }, "retain.age_ms"],
        [5, "retain"],
      ] as const) {
        const answer = await put(freshName("view"), { ...windowed, retain });
        expectError(answer, 400, "invalid_field", ["field"]);
        expect(answer.body["field"]).toBe(field);
      }
      const without = await put(freshName("view"), { ...byRegion(topic), retain: { windows: 3 } });
      expectError(without, 400, "invalid_field", ["field"]);
    });

    test("the same view again goes on, another query begins anew", async () => {
      const { topic, view } = await viewed();
      const same = {
        aggregate: { measures: [{ field: "x", op: "sum" }], group_by: ["region"] },
        source: { topic },
      };
      expect((await put(view, same)).body).toEqual({ ok: true, view, created: false });
      const other = { source: { topic }, aggregate: { group_by: ["x"] } };
      expect((await put(view, other)).body["created"]).toBe(true);
      expect(Object.keys(countsOf(await settled(view)))).toContain("x=2");
    });

    test("deleted records stay counted; those deleted before the view do not come back", async () => {
      const { topic, view } = await viewed();
      await settled(view);
      await client.ask("POST /broker/delete-before", {
        body: { topic, partition: 0, before_offset: 2 },
      });
      expect(countsOf(await settled(view))["region=us"]).toBe(1);
      const later = freshName("view");
      await put(later, byRegion(topic));
      const body = await settled(later);
      expect(countsOf(body)).toEqual({ "region=null": 1 });
      expect(body["source"]).toMatchObject({ consumed: 1, skipped: 0 });
    });

    test("a topic that is made anew makes the view begin anew", async () => {
      const { topic, view } = await viewed();
      await settled(view);
      await client.ask(`DELETE /broker/topics/${topic}`);
      expect(countsOf((await get(view)).body)["region=us"]).toBe(1);
      await client.ask("POST /broker/topics", { body: { name: topic, partitions: 1 } });
      await produce(topic, [{ region: "new" }], 0);
      expect(countsOf(await settled(view))).toEqual({ "region=new": 1 });
    });

    test("a name may have 249 characters and no more", async () => {
      const topic = await client.topic("long");
      const view = `${freshName("long")}-`.padEnd(249, "v");
      const count = { source: { topic }, aggregate: { measures: [{ op: "count" }] } };
      expect((await put(view, count)).status).toBe(200);
      expect((await get(view)).status).toBe(200);
      expect((await client.ask(`DELETE /broker/views/${view}`)).status).toBe(200);
      expectError(await put(`${view}v`, count), 400, "invalid_view");
      expectError(await get(`${view}v`), 400, "invalid_view");
      expectError(await client.ask(`DELETE /broker/views/${view}v`), 400, "invalid_view");
    });
    test("they are listed, and deleted", async () => {
      const { topic, view } = await viewed();
      await settled(view);
      const list = async () => (await client.ask("GET /broker/views")).body["views"];
      expect(await list()).toContainEqual({ view, topic, partition: null, lag: 0 });
      expect((await client.ask(`DELETE /broker/views/${view}`)).body).toEqual({
        ok: true,
        view,
        deleted: true,
      });
      expect(JSON.stringify(await list())).not.toContain(view);
      expectError(await get(view), 404, "view_not_found");
      expectError(await client.ask(`DELETE /broker/views/${view}`), 404, "view_not_found");
    });

    test("wrong views are refused, and nothing is made", async () => {
      const topic = await client.topic("viewed");
      const view = freshName("view");
      for (const [status, code, body, fields] of [
        [400, "missing_field", { source: { topic } }, ["field"]],
        [400, "missing_topic", { source: {}, aggregate: {} }, ["field"]],
        [404, "topic_not_found", byRegion(`${topic}x`), []],
        [404, "partition_not_found", { ...byRegion(topic), source: { topic, partition: 9 } }, []],
      ] as const) {
        expectError(await put(view, body), status, code, fields);
      }
      const { body } = await put(view, byRegion(`${topic}x`));
      expect(body["message"]).toBe(`No such topic: topic "${topic}x"`);
      expectError(await put("a%20b", byRegion(topic)), 400, "invalid_view");
      expectError(await get(view), 404, "view_not_found");
    });

    test("a view is made and deleted with admin, and read with read, for its topic", async () => {
      const { reader, ordersWriter } = target();
      if (reader === undefined || ordersWriter === undefined) return;
      const { topic, view } = await viewed();
      const line = `/broker/views/${view}`;
      const body = byRegion(topic);
      expectError(await client.ask(`PUT ${line}`, { body, token: reader }), 403, "forbidden");
      expectError(await client.ask(`DELETE ${line}`, { token: reader }), 403, "forbidden");
      expect((await client.ask(`GET ${line}`, { token: reader })).status).toBe(200);
      expectError(await client.ask(`GET ${line}`, { token: ordersWriter }), 403, "forbidden");
      expectError(await client.ask("GET /broker/views", { token: ordersWriter }), 403, "forbidden");
    });
  });
}
