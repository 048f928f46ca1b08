/** Scenarios of members of a group. As in `scenarios.ts`, no Bun API is used. */
import { strict as assert } from "node:assert";
import type { PartitionRef } from "../../src/client/index.ts";
import type { Scenario } from "./scenarios.ts";

const PARTITIONS = 6;
const RECORDS = 60;

const names = (refs: readonly PartitionRef[]): string[] =>
  refs.map(({ topic, partition }) => `${topic}/${partition}`);

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5));
}

export const GROUP_SCENARIOS: Readonly<Record<string, Scenario>> = {
  "members of a group share the messages, and the rest when one of them is lost": async (
    client,
    topic,
  ) => {
    await client.topics.create(topic, { partitions: PARTITIONS });
    for (let i = 0; i < RECORDS; i++) {
      await client.produce(topic, `${i}`, { partition: i % PARTITIONS });
    }
    const seen = new Map<string, number>();
    const stop = new AbortController();
    const work = async (processingMs: number | undefined, hangsAt: number) => {
      const { signal } = stop;
      const options = { topics: [topic], leaseMs: 1_000, limit: 3, signal, processingMs };
      let count = 0;
      for await (const { text } of client.group(topic, options)) {
        seen.set(text, (seen.get(text) ?? 0) + 1);
        if (++count === hangsAt) await new Promise(() => undefined);
        if (seen.size === RECORDS) stop.abort();
      }
    };
    // The first member hangs in the middle of a message.
    void work(0, 5);
    const never = Number.POSITIVE_INFINITY;
    await Promise.all([work(undefined, never), work(undefined, never)]);
    assert.equal(seen.size, RECORDS);
    assert.ok([...seen.values()].filter((count) => count > 1).length <= 6);
  },

  "a member that ends commits and leaves, and tells what it got and lost": async (
    client,
    topic,
  ) => {
    await client.topics.create(topic, { partitions: 2 });
    const told: string[] = [];
    const stop = new AbortController();
    const first = client.group(topic, {
      topics: [topic],
      member: "first",
      leave: true,
      signal: stop.signal,
      onAssigned: (got) => told.push(...names(got).map((name) => `+${name}`)),
      onRevoked: (gone) => told.push(...names(gone).map((name) => `-${name}`)),
    });
    const texts: string[] = [];
    const reading = (async () => {
      for await (const message of first) texts.push(message.text);
    })();
    await client.produce(topic, "x", { partition: 0 });
    await until(() => texts.length === 1);
    const second = client.group(topic, { topics: [topic], member: "second", leave: true });
    const other = (async () => {
      for await (const message of second) return message;
      return null;
    })();
    await until(() => second.partitions.length === 1);
    assert.deepEqual(told, [`+${topic}/0`, `+${topic}/1`, `-${topic}/1`]);
    stop.abort();
    await reading;
    // The first is gone, so it cannot take the partition over when the second leaves.
    await client.produce(topic, "y", { partition: 1 });
    assert.equal((await other)?.text, "y");
    const { members, partitions, lag } = await client.describeGroup(topic);
    assert.deepEqual(members, []);
    // `break` does not process the message of the loop, so it is still there for the next member.
    assert.deepEqual(
      partitions.map(({ committedOffset }) => committedOffset),
      [1, 0],
    );
    assert.equal(lag, 1);
  },

  "without automatic commits, a member commits what it was given so far": async (client, topic) => {
    await client.topics.create(topic, { partitions: 1 });
    await client.produceBatch(topic, ["a", "b", "c"], { partition: 0 });
    const options = { topics: [topic], autoCommit: false, member: "m", leave: true };
    const member = client.group(topic, options);
    for await (const message of member) {
      if (message.text === "b") await member.commit();
      if (message.text === "c") break;
    }
    const read: string[] = [];
    for await (const page of client.group(topic, options).pages()) {
      read.push(...page.map(({ text }) => text));
      break;
    }
    assert.deepEqual(read, ["c"]);
    const [sought] = await client.seekGroup(topic, { topic, partition: 0, to: { offset: 1 } });
    assert.deepEqual(sought, { topic, partition: 0, committedOffset: 1 });
    await client.seekGroup(topic, { to: { timeMs: 0 } });
    const { lag, partitions } = await client.describeGroup(topic);
    assert.equal(lag, 3);
    assert.ok((partitions[0]?.lagSeconds ?? -1) >= 0);
    const listed = (await client.listGroups()).find(({ group }) => group === topic);
    assert.deepEqual(listed, { group: topic, topics: 1, partitions: 1, members: 0, lag: 3 });
  },

  "a rolling restart of members with names moves no partition": async (client, topic) => {
    await client.topics.create(topic, { partitions: 20 });
    const members = Array.from({ length: 10 }, (_, i) => `worker-${i}`);
    const start = (member: string) => {
      const stop = new AbortController();
      const consumer = client.group(topic, { topics: [topic], member, signal: stop.signal });
      const seen: string[] = [];
      const done = (async () => {
        for await (const { text } of consumer) seen.push(text);
      })();
      const end = () => {
        stop.abort();
        return done;
      };
      return { consumer, seen, end };
    };
    const owners = async () => {
      const { partitions } = await client.describeGroup(topic);
      return partitions.map(({ owner, generation }) => `${owner} in ${generation}`);
    };
    const workers = members.map(start);
    await until(() => workers.every(({ consumer }) => consumer.partitions.length === 2));
    const before = await owners();
    for (const [i, member] of members.entries()) {
      await workers[i]?.end();
      const again = start(member);
      workers[i] = again;
      await until(() => again.consumer.partitions.length === 2);
    }
    assert.deepEqual(await owners(), before);
    for (let i = 0; i < 20; i++) await client.produce(topic, `${i}`, { partition: i });
    await until(() => workers.every(({ seen }) => seen.length === 2));
    await Promise.all(workers.map(({ end }) => end()));
  },

  "a member that loses its lease joins again and goes on": async (client, topic) => {
    await client.topics.create(topic, { partitions: 1 });
    await client.produceBatch(topic, ["a", "b"], { partition: 0 });
    const texts: string[] = [];
    for await (const message of client.group(topic, { topics: [topic], member: "m" })) {
      texts.push(message.text);
      // The group forgets its member, as after the end of a lease.
      if (texts.length === 1) await client.deleteGroup(topic);
      if (texts.length > 1 && message.text === "b") break;
    }
    // The commit of the first page is refused, so everything is read again.
    assert.equal(texts[0], "a");
    assert.equal(texts.at(-1), "b");
  },
};
