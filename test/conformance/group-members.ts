/** Groups whose members share partitions: join, read, commit, hand over, leave, seek, lag. */
import { describe, expect, test } from "bun:test";
import { expectError } from "../tools/conformance/expectations.ts";
import {
  type Answer,
  type Ask,
  Client,
  freshName,
  type Json,
  messagesOf,
  type TargetOf,
} from "../tools/conformance/target.ts";

type Owned = {
  readonly topic: string;
  readonly partition: number;
  readonly generation: number;
  readonly next_offset: number;
};
const ownedIn = (answer: Answer, field = "assigned"): Owned[] => answer.body[field] as Owned[];
const numbersIn = (answer: Answer, field = "assigned"): number[] =>
  ownedIn(answer, field).map(({ partition }) => partition);
const offsetsOf = (positions: readonly Owned[]) =>
  positions.map(({ topic, partition, generation, next_offset }) => {
    return { topic, partition, generation, offset: next_offset };
  });

export function register(target: TargetOf): void {
  const client = new Client(target);
  const url = (group: string, what: string): string => `/broker/groups/${group}/${what}`;
  const join = (group: string, topics: string[], member: string, more: Json = {}) =>
    client.ask(`POST ${url(group, "join")}`, { body: { topics, member, ...more } });
  const read = (group: string, member: string, query = "", ask: Ask = {}) =>
    client.ask(`GET ${url(group, "messages")}?member=${member}&${query}`, ask);
  const commit = (group: string, member: string, offsets: unknown) =>
    client.ask(`POST ${url(group, "commit")}`, { body: { member, offsets } as Json });
  const leave = (group: string, member: string) =>
    client.ask(`POST ${url(group, "leave")}`, { body: { member } });
  const seek = (group: string, body: Json) => client.ask(`POST ${url(group, "seek")}`, { body });
  const described = async (group: string) => (await client.ask(`GET /broker/groups/${group}`)).body;
  const partitionsOf = async (group: string) => (await described(group))["partitions"] as Json[];

  /** A topic with `each` records in every partition. */
  async function filled(partitions = 4, each = 2): Promise<string> {
    const topic = await client.topic("shared", partitions);
    for (let partition = 0; partition < partitions; partition++) {
      for (let i = 0; i < each; i++) {
        await client.produce(topic, `${partition}.${i}`, `partition=${partition}`);
      }
    }
    return topic;
  }

  describe("members of a group", () => {
    test("the first member owns all partitions, and reads on behind what it has read", async () => {
      const topic = await filled();
      const group = freshName("g");
      const joined = await join(group, [topic], "a");
      expect(joined.status).toBe(200);
      expect(Object.keys(joined.body).sort()).toEqual([
        "assigned",
        "lease_until_ms",
        "member",
        "ok",
      ]);
      expect(numbersIn(joined)).toEqual([0, 1, 2, 3]);
      expect(ownedIn(joined).map((each) => each.next_offset)).toEqual([0, 0, 0, 0]);
      const seen: string[] = [];
      for (let page = 0; page < 4; page++) {
        const answer = await read(group, "a", "limit=3");
        for (const message of messagesOf(answer.body)) {
          expect(Object.keys(message)).toEqual([
            "topic",
            "offset",
            "partition",
            "timestamp_ms",
            "value",
          ]);
          expect(message["topic"]).toBe(topic);
          seen.push(String(message["value"]));
        }
        expect(answer.body["count"]).toBe(messagesOf(answer.body).length);
        expect(answer.body["revoked"]).toEqual([]);
      }
      expect(seen.sort()).toEqual(["0.0", "0.1", "1.0", "1.1", "2.0", "2.1", "3.0", "3.1"]);
    });

    test("positions of a page are committed, and joining again begins there", async () => {
      const topic = await filled(2);
      const group = freshName("g");
      await join(group, [topic], "a");
      const page = await read(group, "a", "limit=3");
      const positions = ownedIn(page, "positions");
      expect(positions.map((each) => [each.partition, each.next_offset])).toEqual([
        [0, 2],
        [1, 1],
      ]);
      const committed = await commit(group, "a", offsetsOf(positions));
      expect(committed.body["results"]).toEqual([
        { topic, partition: 0, ok: true, committed_offset: 2 },
        { topic, partition: 1, ok: true, committed_offset: 1 },
      ]);
      await read(group, "a");
      const again = await join(group, [topic], "a");
      expect(ownedIn(again).map((each) => each.next_offset)).toEqual([2, 1]);
      expect(ownedIn(again).map(({ generation }) => generation)).toEqual(
        positions.map(({ generation }) => generation),
      );
      expect(messagesOf((await read(group, "a")).body).map(({ value }) => value)).toEqual(["1.1"]);
    });

    test("a partition goes over after its owner has committed behind the answer that revokes it", async () => {
      const topic = await filled();
      const group = freshName("g");
      const [a] = ownedIn(await join(group, [topic], "a"));
      await read(group, "a");
      const second = await join(group, [topic], "b");
      expect(second.body["assigned"]).toEqual([]);
      expect((await read(group, "b")).body).toMatchObject({ count: 0, assigned: [], revoked: [] });
      const told = await read(group, "a");
      expect(told.body["revoked"]).toEqual([
        { topic, partition: 2 },
        { topic, partition: 3 },
      ]);
      expect(numbersIn(told)).toEqual([0, 1]);
      expect(numbersIn(told, "positions")).toEqual([2, 3]);
      // The records of these partitions are in work, so another read does not give them up.
      expect(numbersIn(await read(group, "a"), "revoked")).toEqual([2, 3]);
      await commit(group, "a", offsetsOf(ownedIn(told, "positions")));
      const taken = await read(group, "b");
      expect(numbersIn(taken)).toEqual([2, 3]);
      expect(ownedIn(taken).map((each) => each.next_offset)).toEqual([2, 2]);
      for (const { generation } of ownedIn(taken)) {
        expect(generation).toBeGreaterThan(a?.generation ?? 0);
      }
      const late = { topic, partition: 2, generation: a?.generation ?? 0, offset: 2 };
      expect((await commit(group, "a", [late])).body["results"]).toEqual([
        { topic, partition: 2, ok: false, error: "fenced", owner: "b" },
      ]);
      expect((await read(group, "a")).body).toMatchObject({ revoked: [], count: 0 });
    });

    test("a partition without records in work goes over at the read behind the answer", async () => {
      const topic = await client.topic("empty", 2);
      const group = freshName("g");
      await join(group, [topic], "a");
      await join(group, [topic], "b");
      expect((await read(group, "b")).body["assigned"]).toEqual([]);
      expect(numbersIn(await read(group, "a"), "revoked")).toEqual([1]);
      expect((await read(group, "b")).body["assigned"]).toEqual([]);
      expect((await read(group, "a")).body["revoked"]).toEqual([]);
      expect(numbersIn(await read(group, "b"))).toEqual([1]);
    });

    test("members of two topics get a share of each", async () => {
      const [s, t] = [await client.topic("s", 2), await client.topic("t", 2)];
      const group = freshName("g");
      for (const member of ["a", "b"]) await join(group, [s, t], member);
      for (let i = 0; i < 2; i++) await read(group, "a");
      for (const member of ["a", "b"]) {
        const topics = ownedIn(await read(group, member)).map(({ topic }) => topic);
        expect(topics.sort()).toEqual([s, t].sort());
      }
    });

    test("a member that leaves gives its partitions up at once", async () => {
      const topic = await filled(2, 1);
      const group = freshName("g");
      await join(group, [topic], "a");
      await join(group, [topic], "b");
      expect((await leave(group, "a")).body).toEqual({ ok: true, group, member: "a" });
      expect(numbersIn(await read(group, "b"))).toEqual([0, 1]);
      for (const answer of [
        await read(group, "a"),
        await leave(group, "a"),
        await commit(group, "a", []),
      ]) {
        expectError(answer, 404, "not_a_member");
        expect(answer.body["message"]).toContain(`group "${group}", member "a"`);
      }
    });

    test("a member whose lease is over loses its partitions, and what it read is read again", async () => {
      const topic = await filled(1, 2);
      const group = freshName("g");
      await join(group, [topic], "a", { lease_ms: 1000 });
      expect((await read(group, "a", "limit=1")).body["count"]).toBe(1);
      await join(group, [topic], "b");
      let page = await read(group, "b", "wait_ms=20000");
      while (page.body["count"] === 0) page = await read(group, "b", "wait_ms=20000");
      expect(messagesOf(page.body).map(({ value }) => value)).toEqual(["0.0", "0.1"]);
      expectError(await read(group, "a"), 404, "not_a_member");
    });

    test("a read that waits is answered by a record, and by a change of the partitions", async () => {
      const topic = await client.topic("waits", 1);
      const group = freshName("g");
      await join(group, [topic], "a");
      const waiting = read(group, "a", "wait_ms=60000");
      await client.produce(topic, "x");
      expect(messagesOf((await waiting).body).map(({ value }) => value)).toEqual(["x"]);
      await join(group, [topic], "b");
      const other = read(group, "b", "wait_ms=60000").then((page) =>
        numbersIn(page).length > 0 ? page : read(group, "b", "wait_ms=60000"),
      );
      await leave(group, "a");
      expect(numbersIn(await other)).toEqual([0]);
    });

    test("a wait without records ends empty, and renews the lease", async () => {
      const topic = await client.topic("silent", 1);
      const group = freshName("g");
      const joined = await join(group, [topic], "a", { lease_ms: 1000 });
      const page = await read(group, "a", "wait_ms=2500");
      expect(page.body).toMatchObject({ messages: [], count: 0, positions: [] });
      expect(page.body["lease_until_ms"]).toBeGreaterThan(
        Number(joined.body["lease_until_ms"]) + 1000,
      );
    });

    test("one member reads at a time: a second read ends the first", async () => {
      const topic = await client.topic("twice", 1);
      const group = freshName("g");
      await join(group, [topic], "a");
      const first = read(group, "a", "wait_ms=60000");
      const second = read(group, "a", "wait_ms=60000");
      const early = await Promise.race([first, second]);
      expect(early.body).toMatchObject({ count: 0 });
      await client.produce(topic, "x");
      const counts = [(await first).body["count"], (await second).body["count"]].sort();
      expect(counts).toEqual([0, 1]);
    });

    test("a commit without a member is refused while a member owns the partition", async () => {
      const topic = await filled(1, 2);
      const group = freshName("g");
      await join(group, [topic], "a");
      const body = { topic, group, partition: 0, offset: 1 };
      const refused = await client.ask("POST /broker/commit", { body });
      expectError(refused, 409, "leased", ["member"]);
      expect(refused.body["member"]).toBe("a");
      await leave(group, "a");
      expect((await client.ask("POST /broker/commit", { body })).body["committed_offset"]).toBe(1);
    });

    test("a commit beyond the end commits the end, and a lower one is ignored", async () => {
      const topic = await filled(1, 2);
      const group = freshName("g");
      const [owned] = ownedIn(await join(group, [topic], "a"));
      const at = (offset: number) => ({ ...place, generation: owned?.generation ?? 0, offset });
      const place = { topic, partition: 0 };
      const results = [
        { ...place, ok: true, committed_offset: 2, clamped: true },
        { ...place, ok: true, committed_offset: 2 },
      ];
      expect((await commit(group, "a", [at(9), at(1)])).body["results"]).toEqual(results);
      const other = [
        { topic, partition: 7, generation: 1, offset: 0 },
        { topic: "no-such", partition: 0, generation: 1, offset: 0 },
      ];
      expect((await commit(group, "a", other)).body["results"]).toEqual([
        { topic, partition: 7, ok: false, error: "partition_not_found" },
        { topic: "no-such", partition: 0, ok: false, error: "topic_not_found" },
      ]);
    });

    test("seek is the way back, and fences what was read before it", async () => {
      const topic = await filled(2, 3);
      const group = freshName("g");
      await join(group, [topic], "a");
      const page = await read(group, "a");
      await commit(group, "a", offsetsOf(ownedIn(page, "positions")));
      const to = async (body: Json) => (await seek(group, body)).body["offsets"];
      const sought = (offsets: number[]) =>
        offsets.map((offset, partition) => ({ topic, partition, committed_offset: offset }));
      expect(await to({ to: "earliest" })).toEqual(sought([0, 0]));
      expect(
        (await commit(group, "a", offsetsOf(ownedIn(page, "positions")))).body["results"],
      ).toEqual([
        { topic, partition: 0, ok: false, error: "fenced", owner: "a" },
        { topic, partition: 1, ok: false, error: "fenced", owner: "a" },
      ]);
      expect((await read(group, "a")).body["count"]).toBe(6);
      expect(await to({ topic, to: "latest" })).toEqual(sought([3, 3]));
      expect((await read(group, "a")).body["count"]).toBe(0);
      expect(await to({ topic, partition: 0, to: { offset: 2 } })).toEqual(sought([2]));
      const beyond = [{ topic, partition: 0, committed_offset: 3, clamped: true }];
      expect(await to({ topic, partition: 0, to: { offset: 99 } })).toEqual(beyond);
      expect(await to({ to: { time_ms: 0 } })).toEqual(sought([0, 0]));
      expect(await to({ to: { time_ms: Number.MAX_SAFE_INTEGER } })).toEqual(sought([3, 3]));
    });

    test("a group is told with its members, their partitions and the whole lag", async () => {
      const topic = await filled(2, 3);
      const group = freshName("g");
      await join(group, [topic], "a", { lease_ms: 60000 });
      const page = await read(group, "a", "limit=1");
      await commit(group, "a", offsetsOf(ownedIn(page, "positions")));
      await join(group, [topic], "b");
      const body = await described(group);
      expect(body).toMatchObject({ ok: true, group, lag: 5 });
      expect(body["members"]).toMatchObject([
        { member: "a", lease_ms: 60000, topics: [topic], partitions: 2 },
        { member: "b", lease_ms: 30000, topics: [topic], partitions: 0 },
      ]);
      const [first, second] = body["partitions"] as Json[];
      expect(first).toMatchObject({ topic, partition: 0, owner: "a", committed_offset: 1, lag: 2 });
      expect(second).toMatchObject({
        topic,
        partition: 1,
        owner: "a",
        next: "b",
        committed_offset: null,
        lag: 3,
      });
      expect(Number(second?.["lag_seconds"])).toBeGreaterThanOrEqual(0);
      const { body: list } = await client.ask("GET /broker/groups");
      expect((list["groups"] as Json[]).find((each) => each["group"] === group)).toEqual({
        group,
        topics: 1,
        partitions: 2,
        members: 2,
        lag: 5,
      });
      const { body: seen } = await client.ask(`GET /broker/topics/${topic}`);
      expect(seen["groups"]).toEqual([
        { group, partition: 0, committed_offset: 1, lag: 2 },
        { group, partition: 1, committed_offset: null, lag: 3 },
      ]);
      await leave(group, "a");
      await leave(group, "b");
      expect((await partitionsOf(group)).map(({ owner, lag }) => [owner, lag])).toEqual([
        [null, 2],
        [null, 3],
      ]);
    });

    test("a deleted group forgets members and offsets", async () => {
      const topic = await filled(1, 1);
      const group = freshName("g");
      const [owned] = ownedIn(await join(group, [topic], "a"));
      const { body } = await client.ask(`DELETE /broker/groups/${group}`);
      expect(body).toEqual({ ok: true, group, deleted: true, offsets: 0, members: 1 });
      expectError(await read(group, "a"), 404, "not_a_member");
      expectError(await client.ask(`GET /broker/groups/${group}`), 404, "group_not_found");
      const [again] = ownedIn(await join(group, [topic], "a"));
      expect(again?.generation).toBeGreaterThan(owned?.generation ?? 0);
    });

    test("a topic that is deleted and created again goes on with its members", async () => {
      const topic = await filled(1, 1);
      const group = freshName("g");
      await join(group, [topic], "a");
      await client.ask(`DELETE /broker/topics/${topic}`);
      expect((await read(group, "a")).body).toMatchObject({ assigned: [], revoked: [], count: 0 });
      await client.ask("POST /broker/topics", { body: { name: topic, partitions: 3 } });
      expect(numbersIn(await read(group, "a"))).toEqual([0, 1, 2]);
    });

    test("values come in base64 on request, and a page ends at max_bytes", async () => {
      const topic = await client.topic("bytes", 1);
      const group = freshName("g");
      for (const value of ["aaaa", "bbbb", "cccc"]) await client.produce(topic, value);
      await join(group, [topic], "a");
      const values = async (query: string) =>
        messagesOf((await read(group, "a", query)).body).map((each) => each["value_b64"]);
      expect(await values("encoding=b64&max_bytes=9")).toEqual(["YWFhYQ==", "YmJiYg=="]);
      expect(await values("encoding=b64&max_bytes=0")).toEqual(["Y2NjYw=="]);
    });

    test("without a name a member gets one", async () => {
      const topic = await client.topic("unnamed", 1);
      const group = freshName("g");
      const body = { topics: [topic] };
      const names = [];
      for (let i = 0; i < 2; i++) {
        const joined = await client.ask(`POST ${url(group, "join")}`, { body });
        names.push(String(joined.body["member"]));
      }
      expect(new Set(names).size).toBe(2);
      for (const name of names) expect(name).toMatch(/^[A-Za-z0-9._:-]{1,249}$/);
    });

    test("what is wrong with a request is said", async () => {
      const topic = await client.topic("wrong", 1);
      const group = freshName("g");
      const post = (what: string, body: Json, name = group) =>
        client.ask(`POST ${url(name, what)}`, { body });
      const invalid = async (answer: Promise<Answer>, code: string, message: string) => {
        const said = await answer;
        expectError(said, 400, code);
        expect(said.body["message"]).toBe(message);
      };
      const list = 'Field "topics" is a list of 0: it must be a list of 1 to 100';
      await invalid(post("join", { topics: [] }), "invalid_field", list);
      await invalid(post("join", {}), "missing_field", 'Field "topics" is required');
      await invalid(
        post("join", { topics: [7] }),
        "invalid_field",
        'Field "topics[0]" is 7: it must be a string',
      );
      const lease = 'Field "lease_ms" is 999: it must be a decimal integer from 1000 to 600000';
      await invalid(post("join", { topics: [topic], lease_ms: 999 }), "invalid_field", lease);
      const to =
        'Field "to" is "begin": it must be "earliest" or "latest" or {"time_ms": …} or {"offset": …}';
      await invalid(post("seek", { to: "begin" }), "invalid_field", to);
      await invalid(
        post("seek", { to: "latest", partition: 0 }),
        "invalid_field",
        'Field "partition" needs the field "topic"',
      );
      const offsets = 'Field "offsets[0].generation" is required';
      await invalid(
        post("commit", { member: "a", offsets: [{ topic, partition: 0, offset: 1 }] }),
        "missing_field",
        offsets,
      );
      await invalid(
        client.ask(`GET ${url(group, "messages")}`),
        "invalid_parameter",
        "member is required: the name that join has told",
      );
      expectError(await post("join", { topics: ["a b"] }), 400, "invalid_topic");
      expectError(await post("join", { topics: [topic], member: "a b" }), 400, "invalid_field");
      expectError(await post("join", { topics: [topic], membr: "a" }), 400, "unknown_field");
      expectError(await post("join", { topics: [topic] }, "a%20b"), 400, "invalid_group");
      expectError(await read(group, "a%20b"), 400, "invalid_parameter");
      expectError(await read(group, "a", "limit=0"), 400, "invalid_parameter");
      expectError(await read(group, "a", "wait_ms=60001"), 400, "invalid_parameter");
      const unknown = await post("join", { topics: ["no-such-topic"] });
      expectError(unknown, 404, "topic_not_found", ["topic"]);
      expect(unknown.body["message"]).toBe('No such topic: topic "no-such-topic"');
      expectError(await post("seek", { to: "latest" }), 404, "group_not_found");
      expectError(await read(group, "a"), 404, "not_a_member");
    });

    test("a token needs read for each topic of a member, and admin to seek", async () => {
      const { reader, ordersWriter } = target();
      if (reader === undefined || ordersWriter === undefined) return;
      const topic = await filled(1, 1);
      const group = freshName("g");
      const ask = (line: string, token: string, body?: Json) =>
        client.ask(line, { token, ...(body === undefined ? {} : { body }) });
      const joined = await ask(`POST ${url(group, "join")}`, reader, {
        topics: [topic],
        member: "a",
      });
      expect(joined.status).toBe(200);
      expect((await read(group, "a", "", { token: reader })).body["count"]).toBe(1);
      expectError(
        await ask(`POST ${url(group, "seek")}`, reader, { to: "latest" }),
        403,
        "forbidden",
      );
      expectError(await ask(`DELETE /broker/groups/${group}`, reader), 403, "forbidden");
      expectError(await read(group, "a", "", { token: ordersWriter }), 403, "forbidden");
      expectError(
        await ask(`POST ${url(group, "join")}`, ordersWriter, { topics: [topic] }),
        403,
        "forbidden",
      );
    });
  });
}
