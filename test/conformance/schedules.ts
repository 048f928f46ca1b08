/** CONTRACT 15: records that are produced later, once or again and again. */
import { describe, expect, test } from "bun:test";
import { expectError, SEALED } from "../tools/conformance/expectations.ts";
import {
  Client,
  freshName,
  type Json,
  messagesOf,
  type TargetOf,
} from "../tools/conformance/target.ts";

const DAY_MS = 86_400_000;
const YEAR_MS = 366 * DAY_MS;

export function register(target: TargetOf): void {
  const client = new Client(target);
  const produce = (topic: string, query: string, body: string | Json = "later") =>
    client.ask(`POST /broker/topics/${topic}/produce?partition=0&${query}`, { body });
  const listed = async (topic: string, query = "") =>
    (await client.ask(`GET /broker/schedules?topic=${topic}${query}`)).body;
  const put = (name: string, body: Json) => client.ask(`PUT /broker/schedules/${name}`, { body });
  /** The page, as soon as there are records. */
  const arrived = (topic: string, offset = 0, partition = 0) =>
    client.consume(topic, `offset=${offset}&wait_ms=30000`, "g", partition);

  describe("schedules: records that wait", () => {
    test("a record is produced after its delay, with a header that says for when", async () => {
      const topic = await client.topic("later", 1);
      const answer = await produce(topic, "delay_ms=300&key=k&header.kind=test");
      const { schedule_id: id, deliver_at_ms: deliverAtMs } = answer.body;
      expect(answer.body).toEqual({
        ...SEALED,
        scheduled: true,
        schedule_id: expect.stringMatching(/^delayed:\d+$/),
        deliver_at_ms: expect.any(Number),
        count: 1,
        partition: 0,
        batch_id: expect.any(Number),
        acked_by: expect.any(Number),
      });
      const waiting = {
        schedule_id: id,
        topic,
        partition: 0,
        count: 1,
        deliver_at_ms: deliverAtMs,
      };
      expect(await listed(topic)).toEqual({ ok: true, schedules: [waiting], next: null });
      const found = await client.ask(`GET /broker/schedules/${id}`);
      expect(found.body).toEqual({ ok: true, ...waiting });
      expect(await client.values(topic)).toEqual([]);
      const [message] = messagesOf((await arrived(topic)).body);
      expect(message).toMatchObject({
        offset: 0,
        key: "k",
        value: "later",
        headers: { kind: "test", "scheduled-for-ms": String(deliverAtMs) },
      });
      expect(Number(message?.["timestamp_ms"])).toBeGreaterThanOrEqual(Number(deliverAtMs));
      expect(await listed(topic)).toEqual({ ok: true, schedules: [], next: null });
      expectError(await client.ask(`GET /broker/schedules/${id}`), 404, "schedule_not_found");
    });
    test("deliver_at_ms names the time; one that is over delivers at once", async () => {
      const topic = await client.topic("later", 1);
      const { body } = await produce(topic, "deliver_at_ms=5");
      expect(body).toMatchObject({ scheduled: true, deliver_at_ms: 5 });
      const [message] = messagesOf((await arrived(topic)).body);
      expect(message).toMatchObject({ headers: { "scheduled-for-ms": "5" } });
    });
    test("produce-json schedules a batch, and it arrives as one", async () => {
      const topic = await client.topic("later", 1);
      const records = [{ value: 1 }, { value: "b", headers: { a: "1" } }];
      const answer = await client.ask(
        `POST /broker/topics/${topic}/produce-json?partition=0&delay_ms=100`,
        { body: { records } },
      );
      expect(answer.body).toMatchObject({ ...SEALED, scheduled: true, count: 2, partition: 0 });
      const messages = messagesOf((await arrived(topic)).body);
      expect(messages.map(({ offset, value }) => [offset, value])).toEqual([
        [0, "1"],
        [1, "b"],
      ]);
      expect(messages[1]).toMatchObject({ headers: { a: "1" } });
    });
    test("records arrive in the order of their times", async () => {
      const topic = await client.topic("later", 1);
      for (const delay of [600, 200, 400]) await produce(topic, `delay_ms=${delay}`, `${delay}`);
      for (const offset of [0, 1, 2]) await arrived(topic, offset);
      expect(await client.values(topic)).toEqual(["200", "400", "600"]);
    });
    test("a deleted one does not arrive", async () => {
      const topic = await client.topic("later", 1);
      const { body } = await produce(topic, "delay_ms=200");
      const id = String(body["schedule_id"]);
      const deleted = await client.ask(`DELETE /broker/schedules/${id}`);
      expect(deleted.body).toEqual({ ok: true, schedule: id, deleted: true });
      expectError(await client.ask(`DELETE /broker/schedules/${id}`), 404, "schedule_not_found");
      const page = await client.consume(topic, "offset=0&wait_ms=500");
      expect(page.body).toMatchObject({ count: 0, end_offset: 0 });
    });
    test("an idempotency key counts when it is scheduled", async () => {
      const topic = await client.topic("later", 1);
      const query = "delay_ms=200&idempotency_key=k";
      const first = await produce(topic, query);
      expect(first.body).toMatchObject({ scheduled: true, duplicate: false });
      const { schedule_id: id, deliver_at_ms: deliverAtMs } = first.body;
      const duplicate = {
        ok: true,
        scheduled: true,
        schedule_id: id,
        count: 1,
        partition: 0,
        sealed: true,
        synced: null,
        duplicate: true,
      };
      expect((await produce(topic, query)).body).toEqual({
        ...duplicate,
        deliver_at_ms: deliverAtMs,
      });
      await arrived(topic);
      const after = { ...duplicate, deliver_at_ms: null };
      expect((await produce(topic, query)).body).toEqual(after);
      const other = await produce(topic, query, "other");
      expect(other.body).toEqual({ ...after, payload_matches: false });
      // A produce without a delay has the same key.
      expect((await produce(topic, "idempotency_key=k")).body).toEqual(after);
      expect(await client.values(topic)).toEqual(["later"]);
    });
    test("a produce without a delay that repeats records that wait is told when they are due", async () => {
      const topic = await client.topic("later", 1);
      const first = await produce(topic, `delay_ms=${DAY_MS}&idempotency_key=k`);
      const { schedule_id: id, deliver_at_ms: deliverAtMs } = first.body;
      const expected = {
        ok: true,
        scheduled: true,
        schedule_id: id,
        deliver_at_ms: deliverAtMs,
        count: 1,
        partition: 0,
        sealed: true,
        synced: null,
        duplicate: true,
      };
      expect((await produce(topic, "idempotency_key=k")).body).toEqual(expected);
      const lines = `POST /broker/topics/${topic}/produce-ndjson?partition=0&idempotency_key=k`;
      expect((await client.ask(lines, { body: "later" })).body).toEqual(expected);
      await client.ask(`DELETE /broker/schedules/${id}`);
    });
    test("the list has pages", async () => {
      const topic = await client.topic("later", 1);
      const ids: unknown[] = [];
      for (let i = 0; i < 5; i++) {
        ids.push((await produce(topic, `delay_ms=${DAY_MS}`)).body["schedule_id"]);
      }
      const idsOf = ({ schedules }: Json) => (schedules as Json[]).map(({ schedule_id: id }) => id);
      const first = await listed(topic, "&limit=3");
      expect([idsOf(first), first["next"]]).toEqual([ids.slice(0, 3), ids[2]]);
      const second = await listed(topic, `&limit=3&after=${ids[2]}`);
      expect([idsOf(second), second["next"]]).toEqual([ids.slice(3), null]);
      for (const id of ids) await client.ask(`DELETE /broker/schedules/${id}`);
    });
    test("pages have schedules that repeat first, and their length is exact", async () => {
      const topic = await client.topic("later", 1);
      const names = [freshName("a"), freshName("b"), freshName("c")].sort();
      const never = { cron: "0 0 29 2 *", topic, value: 1 };
      for (const name of names) await put(name, never);
      const { schedule_id: id } = (await produce(topic, `delay_ms=${DAY_MS}`)).body;
      const idOf = ({ schedule, schedule_id: own }: Json) => schedule ?? own;
      const found: unknown[] = [];
      const positions: unknown[] = [];
      for (let after = ""; positions.length < 9; ) {
        const page = await listed(topic, `&limit=1${after}`);
        found.push(...(page["schedules"] as Json[]).map(idOf));
        positions.push(page["next"]);
        if (page["next"] === null) break;
        after = `&after=${page["next"]}`;
      }
      expect(found).toEqual([...names, id]);
      expect(positions).toEqual([...names.map((name) => `cron:${name}`), null]);
      const two = await listed(topic, "&limit=2");
      expect([(two["schedules"] as Json[]).map(idOf), two["next"]]).toEqual([
        names.slice(0, 2),
        `cron:${names[1]}`,
      ]);
      for (const each of [...names, id]) await client.ask(`DELETE /broker/schedules/${each}`);
    });
    test("what cannot be is refused and schedules nothing", async () => {
      const topic = await client.topic("later", 1);
      for (const query of [
        "delay_ms=-1",
        "delay_ms=x",
        "delay_ms=",
        `delay_ms=${YEAR_MS + 1}`,
        "delay_ms=1&deliver_at_ms=1",
        "delay_ms=1&mode=rocket",
      ]) {
        expectError(await produce(topic, query), 400, "invalid_parameter");
      }
      const far = await produce(topic, `deliver_at_ms=${Number.MAX_SAFE_INTEGER}`);
      expectError(far, 400, "delay_too_long");
      const nowhere = `POST /broker/topics/${topic}/produce?partition=9&delay_ms=1`;
      expectError(await client.ask(nowhere, { body: "x" }), 404, "partition_not_found");
      expect(await listed(topic)).toEqual({ ok: true, schedules: [], next: null });
      for (const after of ["x", "", "cron:", "cron:a/b", "delayed:x", "delayed:0"]) {
        const path = `/broker/schedules?after=${after}`;
        expectError(await client.ask(`GET ${path}`), 400, "invalid_parameter");
      }
      expectError(await client.ask("GET /broker/schedules?limit=0"), 400, "invalid_parameter");
    });
    test("records that wait are not among the topics", async () => {
      const topic = await client.topic("later", 1);
      const { body } = await produce(topic, `delay_ms=${DAY_MS}`);
      const topics = (await client.ask("GET /broker/topics")).body["topics"] as Json[];
      expect(topics.filter((each) => String(each["topic"]).includes(":"))).toEqual([]);
      expect(topics.find((each) => each["topic"] === topic)).toMatchObject({ messages: 0 });
      await client.ask(`DELETE /broker/schedules/${body["schedule_id"]}`);
    });
  });

  describe("schedules: again and again", () => {
    const EACH_SECOND = "* * * * * *";
    test("a record is produced at each slot, and the schedule tells what happened", async () => {
      const topic = await client.topic("cron", 1);
      const name = freshName("each");
      const definition = { cron: EACH_SECOND, topic, key: "k", value: { a: [1, "b"] } };
      const created = await put(name, { ...definition, headers: { Kind: "test" } });
      const nextMs = Number(created.body["next_ms"]);
      expect(created.body).toEqual({ ok: true, schedule: name, created: true, next_ms: nextMs });
      expect(nextMs % 1000).toBe(0);
      const messages = messagesOf((await arrived(topic, 0)).body);
      expect(messages[0]).toMatchObject({
        key: "k",
        value: '{"a":[1,"b"]}',
        headers: { kind: "test", "scheduled-for-ms": String(nextMs) },
      });
      await arrived(topic, 1);
      const { body } = await client.ask(`GET /broker/schedules/${name}`);
      expect(body).toEqual({
        ok: true,
        schedule: name,
        cron: EACH_SECOND,
        tz: "UTC",
        topic,
        key: "k",
        value: '{"a":[1,"b"]}',
        headers: { kind: "test" },
        catch_up: "none",
        next_ms: expect.any(Number),
        last_ms: expect.any(Number),
        runs: expect.any(Number),
        missed: expect.any(Number),
      });
      expect(Number(body["runs"])).toBeGreaterThanOrEqual(2);
      expect((await listed(topic))["schedules"]).toMatchObject([{ schedule: name }]);
      const deleted = await client.ask(`DELETE /broker/schedules/${name}`);
      expect(deleted.body).toEqual({ ok: true, schedule: name, deleted: true });
      expectError(await client.ask(`GET /broker/schedules/${name}`), 404, "schedule_not_found");
      expectError(await client.ask(`DELETE /broker/schedules/${name}`), 404, "schedule_not_found");
    });
    test("the same schedule again is the same; another one replaces it", async () => {
      const topic = await client.topic("cron", 1);
      const name = freshName("nine");
      const nine = { cron: "0 9 * * 1-5", tz: "Europe/Berlin", topic, value: "nine" };
      const first = await put(name, nine);
      expect(first.body).toMatchObject({ created: true });
      const again = await put(name, nine);
      expect(again.body).toEqual({ ...first.body, created: false });
      const changed = await put(name, { ...nine, tz: "Asia/Tokyo", catch_up: "all" });
      expect(changed.body["next_ms"]).not.toBe(first.body["next_ms"]);
      const { body } = await client.ask(`GET /broker/schedules/${name}`);
      expect(body).toMatchObject({ tz: "Asia/Tokyo", catch_up: "all", runs: 0, last_ms: null });
      await client.ask(`DELETE /broker/schedules/${name}`);
    });
    test("what is no schedule is refused", async () => {
      const topic = await client.topic("cron", 1);
      const name = freshName("bad");
      const good = { cron: "0 9 * * *", topic, value: "x" };
      for (const body of [
        { ...good, cron: "" },
        { ...good, cron: "* * * *" },
        { ...good, cron: "61 * * * *" },
        { ...good, cron: "0 0 31 2 *" },
        { ...good, tz: "Europe/Berlinn" },
      ]) {
        expectError(await put(name, body), 400, "invalid_cron");
      }
      expectError(await put(name, { ...good, catch_up: "two" }), 400, "invalid_field");
      expectError(await put(name, { ...good, headers: [] }), 400, "invalid_field");
      expectError(await put(name, { ...good, headers: { a: 1 } }), 400, "invalid_header");
      expectError(await put(name, { ...good, zone: "UTC" }), 400, "unknown_field");
      expectError(await put(name, { cron: "0 9 * * *", topic }), 400, "missing_field");
      expectError(await put(name, { cron: "0 9 * * *", value: "x" }), 400, "missing_topic");
      expectError(await put("delayed:5", good), 400, "invalid_schedule");
      expectError(await put(name, { ...good, topic: freshName("none") }), 404, "topic_not_found");
      expectError(await client.ask(`GET /broker/schedules/${name}`), 404, "schedule_not_found");
    });
    test("scopes: writing schedules a record, defining and deleting need more", async () => {
      const { reader, ordersWriter } = target();
      if (reader === undefined || ordersWriter === undefined) return;
      const topic = await client.topic("orders.later", 1);
      const as = (token: string, line: string, body?: Json) =>
        client.ask(line, { token, ...(body === undefined ? {} : { body }) });
      const line = `POST /broker/topics/${topic}/produce?delay_ms=${DAY_MS}`;
      expectError(await as(reader, line), 403, "forbidden");
      const id = String((await as(ordersWriter, line)).body["schedule_id"]);
      expect((await as(reader, `GET /broker/schedules/${id}`)).status).toBe(200);
      expectError(await as(ordersWriter, `DELETE /broker/schedules/${id}`), 403, "forbidden");
      const cron = { cron: "0 9 * * *", topic, value: "x" };
      expectError(await as(ordersWriter, "PUT /broker/schedules/x", cron), 403, "forbidden");
      await client.ask(`DELETE /broker/schedules/${id}`);
    });
  });
}
