/**
 * Goal: no member gets entries or records that its version does not know. Method: whole nodes, of
 * which one tells the level of an earlier version and is then replaced by one of this version.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import type { ProduceOutcome, ProducerNumber } from "../../src/node/api.ts";
import { encodeRecord } from "../../src/record/batch-builder.ts";
import { RecordCursor } from "../../src/record/batch-reader.ts";
import { decodeHeaders, encodeHeaders, type Header } from "../../src/record/headers.ts";
import { Script } from "../tools/sim/script.ts";

setDefaultTimeout(120_000);

const TRACE: Header = { name: "traceparent", value: "00-1" };
const OWN: Header = { name: "a", value: "1" };

type Sent = {
  readonly headers: readonly Header[];
  readonly traced?: boolean;
  readonly producer?: ProducerNumber;
};

const write = (
  script: Script,
  { headers, traced = false, producer }: Sent,
): Promise<ProduceOutcome> =>
  script.ask(
    (node) =>
      new Promise((done) =>
        node.produce(
          {
            topic: "t",
            partition: 0,
            key: null,
            idempotencyKey: null,
            records: encodeRecord(null, new Uint8Array(1), encodeHeaders(headers)),
            timeoutMs: null,
            rocket: false,
            traced,
            producer: producer ?? null,
          },
          done,
        ),
      ),
  );

async function stored(script: Script, id: string): Promise<Header[][]> {
  const request = { topic: "t", partition: 0, group: "g", offset: 0, limit: 100 };
  const page = await script.ask(
    (node) => node.consume({ ...request, maxBytes: 1 << 20, linearizable: false }),
    id,
  );
  if (!page.ok) throw new Error(page.code);
  return page.slices.flatMap((slice) => {
    const found: Header[][] = [];
    const cursor = new RecordCursor(slice);
    while (cursor.next()) {
      found.push(decodeHeaders(cursor.bytes, cursor.headersStart, cursor.headersEnd));
    }
    return found;
  });
}

const refusal = (id: string) => ({
  ok: false,
  code: "cluster_not_upgraded",
  message: `Records with headers can be used once every member runs a version that knows them: not yet ${id}, which runs an earlier version or has not connected to the leader since it leads; upgrade or start it, or remove it from the cluster`,
});

test("headers are refused until the last member was upgraded; the trace of a request is not", async () => {
  const script = new Script({ spares: 0 });
  const old = script.node("n3");
  old.level = 0;
  script.start();
  await script.create("t");
  await script.until("the others lead", () => ["n1", "n2"].includes(script.leader?.id ?? ""));
  expect(await write(script, { headers: [OWN] })).toMatchObject(refusal("n3"));
  expect(await write(script, { headers: [OWN, TRACE], traced: true })).toMatchObject(refusal("n3"));
  expect(await write(script, { headers: [TRACE], traced: true })).toMatchObject({ ok: true });

  old.kill();
  old.level = null;
  old.start();
  await script.until("it is back", () => old.node?.health().ready === true);
  await script.pass(5000);
  expect(await write(script, { headers: [OWN, TRACE], traced: true })).toMatchObject({ ok: true });
  await script.until("all have both", () =>
    script.cluster.nodes.every(({ node }) => node?.listTopics()[0]?.messages === 2),
  );
  for (const { id } of script.cluster.nodes)
    expect(await stored(script, id)).toEqual([[], [OWN, TRACE]]);
});

test("once the level was raised, a member that is down does not matter, nor a new leader", async () => {
  const script = new Script({ spares: 0 });
  script.start();
  await script.create("t");
  await script.until("all are up", () =>
    script.cluster.nodes.every(({ node }) => node?.health().ready === true),
  );
  expect(await write(script, { headers: [OWN] })).toMatchObject({ ok: true });
  const leader = script.leader;
  await script.until("all have it", () =>
    script.cluster.nodes.every(({ node }) => node?.listTopics()[0]?.messages === 1),
  );
  for (const node of script.cluster.nodes) node.kill();
  for (const node of script.cluster.nodes) if (node !== leader) node.start();
  await script.until("another leads", () => script.leader?.node?.health().ready === true);
  const written = await script.insist(
    () => write(script, { headers: [OWN] }),
    ({ ok }) => ok,
  );
  expect(written).toMatchObject({ ok: true, firstOffset: 1 });
});

test("numbered writes are refused until the last member was upgraded", async () => {
  const script = new Script({ spares: 0 });
  const old = script.node("n3");
  old.level = 1;
  script.start();
  await script.create("t");
  await script.until("the others lead", () => ["n1", "n2"].includes(script.leader?.id ?? ""));
  const numbered = (seq: number) =>
    write(script, { headers: [], producer: { id: "p", epoch: 0, seq } });
  expect(await numbered(0)).toEqual({
    ok: false,
    code: "cluster_not_upgraded",
    message: refusal("n3").message.replace("Records with headers", "Numbered writes of producers"),
  });
  expect(await write(script, { headers: [OWN] })).toMatchObject({ ok: true });

  old.kill();
  old.level = null;
  old.start();
  await script.until("it is back", () => old.node?.health().ready === true);
  await script.pass(5000);
  expect(await numbered(0)).toMatchObject({ ok: true, firstOffset: 1, duplicate: false });
  expect(await numbered(0)).toMatchObject({ ok: true, firstOffset: 1, duplicate: true });
  await script.until("all have both", () =>
    script.cluster.nodes.every(({ node }) => node?.listTopics()[0]?.messages === 2),
  );
});

test("ids of delayed records and redrives with a rate wait for the last member, queues do not", async () => {
  const script = new Script({ spares: 0 });
  const old = script.node("n3");
  // The level of the first version with queues.
  old.level = 2;
  script.start();
  await script.create("t");
  await script.until("the others lead", () => ["n1", "n2"].includes(script.leader?.id ?? ""));
  const definition = {
    topic: "t",
    visibilityMs: 1_000,
    maxDeliveries: 1,
    backoffMs: [0],
    deadLetter: "d",
    order: "none",
    maxInFlight: 10,
    from: "earliest",
  } as const;
  const define = () => script.ask((node) => node.queues.define("q", definition));
  const schedule = () =>
    script.ask((node) =>
      node.later.schedule({
        topic: "t",
        partition: 0,
        key: null,
        idempotencyKey: null,
        records: encodeRecord(null, new Uint8Array(1)),
        delayMs: 60_000,
        deliverAtMs: 0,
        timeoutMs: null,
        traced: false,
      }),
    );
  const redrive = () =>
    script.ask((node) => node.queues.redrive({ queue: "q", max: null, perSecond: 1 }));
  const refused = { ok: false, code: "cluster_not_upgraded" };
  expect(await define()).toMatchObject({ ok: true, created: true });
  expect(await schedule()).toMatchObject(refused);
  expect(await redrive()).toMatchObject(refused);
  old.level = null;
  old.kill();
  old.start();
  const known = () => script.insist(schedule, ({ ok }) => ok);
  expect(await known()).toMatchObject({ ok: true, scheduleId: 9 });
  expect(await redrive()).toMatchObject({ ok: true, moved: 0, remaining: 0 });
});

test("exports are refused until the last member was upgraded", async () => {
  const script = new Script({ spares: 0 });
  const old = script.node("n3");
  old.level = 2;
  script.start();
  await script.create("t");
  await script.until("the others lead", () => ["n1", "n2"].includes(script.leader?.id ?? ""));
  const flush = () => script.ask((node) => node.exports.flushExport("none"));
  expect(await flush()).toEqual({
    ok: false,
    code: "cluster_not_upgraded",
    message: refusal("n3").message.replace("Records with headers", "Exports"),
  });

  old.kill();
  old.level = null;
  old.start();
  await script.until("it is back", () => old.node?.health().ready === true);
  await script.pass(5000);
  expect(await flush()).toMatchObject({ ok: false, code: "export_not_found" });
});
