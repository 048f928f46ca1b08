/** Consumer groups over all topics: listed, looked at, deleted. */
import { describe, expect, test } from "bun:test";
import { expectError } from "../tools/conformance/expectations.ts";
import { Client, type Json, type TargetOf } from "../tools/conformance/target.ts";

export function register(target: TargetOf): void {
  const client = new Client(target);
  let made = 0;

  /** A group with offsets in two partitions of one topic and one of another. */
  async function committed() {
    const [a, b] = [await client.topic("ga"), await client.topic("gb")];
    await client.produce(a, "x", "partition=0");
    await client.produce(a, "y", "partition=0");
    const group = `group:${Date.now().toString(36)}-${made++}`;
    for (const [topic, partition, offset] of [
      [a, 0, 1],
      [a, 1, 0],
      [b, 0, 0],
    ]) {
      await client.ask("POST /broker/commit", { body: { topic, group, partition, offset } });
    }
    return { a, b, group };
  }
  const listed = async (group: string) => {
    const { body } = await client.ask("GET /broker/groups");
    return (body["groups"] as Json[]).filter((each) => each["group"] === group);
  };

  describe("groups", () => {
    test("the lag counts every partition of the topics that a group has committed in", async () => {
      const { b, group } = await committed();
      await client.produce(b, "z", "partition=1");
      await client.produce(b, "z", "partition=1");
      expect(await listed(group)).toEqual([
        { group, topics: 2, partitions: 4, members: 0, lag: 3 },
      ]);
    });
    test("a group is told by topic and partition", async () => {
      const { a, b, group } = await committed();
      await client.produce(b, "z", "partition=1");
      const { body } = await client.ask(`GET /broker/groups/${group}`);
      expect(body).toMatchObject({ ok: true, group, members: [], lag: 2 });
      const row = (topic: string, partition: number, committed: number | null, lag: number) => ({
        topic,
        partition,
        owner: null,
        generation: 0,
        committed_offset: committed,
        lag,
        lag_seconds: lag === 0 ? 0 : expect.anything(),
      });
      const partitions = (body["partitions"] as Json[]).map((each) => ({
        ...each,
        // A node in memory does not know the age of a record.
        lag_seconds: each["lag"] === 0 ? each["lag_seconds"] : "some",
      }));
      expect(partitions).toEqual([
        row(a, 0, 1, 1),
        row(a, 1, 0, 0),
        row(b, 0, 0, 0),
        row(b, 1, null, 1),
      ]);
    });
    test("a group that is deleted is gone from all topics, and starts again at the beginning", async () => {
      const { a, group } = await committed();
      const { body } = await client.ask(`DELETE /broker/groups/${group}`);
      expect(body).toEqual({ ok: true, group, deleted: true, offsets: 3, members: 0 });
      expect(await listed(group)).toEqual([]);
      expect((await client.ask(`GET /broker/topics/${a}`)).body["groups"]).toEqual([]);
      const page = await client.ask(`GET /broker/consume/${a}/${group}/0`);
      expect(page.body).toMatchObject({ count: 2, committed_offset: 0 });
    });
    test("a topic that is deleted takes the offsets of its groups", async () => {
      const { a, b, group } = await committed();
      await client.ask(`DELETE /broker/topics/${a}`);
      expect(await listed(group)).toEqual([
        { group, topics: 1, partitions: 2, members: 0, lag: 0 },
      ]);
      await client.ask(`DELETE /broker/topics/${b}`);
      expect(await listed(group)).toEqual([]);
    });
    test("a group that there is not is 404, a name that is none is 400", async () => {
      for (const method of ["GET", "DELETE"]) {
        const answer = await client.ask(`${method} /broker/groups/no-such-group`);
        expectError(answer, 404, "group_not_found");
        expect(answer.body["message"]).toContain('group "no-such-group"');
        expectError(await client.ask(`${method} /broker/groups/a%20b`), 400, "invalid_group");
      }
    });
  });
}
