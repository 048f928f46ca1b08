/** Work of the leader on queues that no request asks for. */
import { expect, test } from "bun:test";
import { LEVEL_DELIVERY } from "../../src/lib/log-levels.ts";
import { Sweeper } from "../../src/node/queues/sweeper.ts";
import { Bench, offset } from "../tools/machine/support.ts";
import { RecordedCommander } from "../tools/node/recorded-commander.ts";
import { DEFINITION } from "../tools/queue/bench.ts";
import { SimClock } from "../tools/sim/sim-clock.ts";

const PASS_MS = 150;

/** A queue whose four records are leased. */
function leased() {
  const clock = new SimClock();
  const bench = new Bench(undefined, clock.now());
  const { machine } = bench;
  bench.createTopic("jobs", 1);
  bench.do({ type: "define_queue", name: "q", definition: { ...DEFINITION, order: "key" } });
  for (let i = 0; i < 4; i++) bench.produce();
  const candidates = [0, 1, 2, 3].map((at) => ({ partition: 0, offset: at, key: at + 1 }));
  bench.do({ type: "receive", queueId: 1, visibilityMs: 60_000, candidates });
  const commander = new RecordedCommander();
  const sweeps: number[] = [];
  const found = { looked: 0, failed: 0 };
  const sweeper = new Sweeper({
    ...{ machine, clock, replica: { isLeader: true }, propose: () => {}, emit: () => {} },
    commander: commander.asCommander,
    burials: {
      sweep: async () => {
        sweeps.push(clock.elapsedMs);
        return found;
      },
    },
    redriver: { goOn: () => {} },
  });
  const deleteBefore = (before: number): void => {
    const place = { topicId: 1, partition: 0, bytesBefore: 0 };
    bench.do({ type: "delete_before", ...place, beforeOffset: offset(before) });
  };
  sweeper.start();
  return { clock, bench, machine, commander, sweeper, deleteBefore, sweeps, found };
}

test("items of records that retention has deleted are forgotten although nobody uses their queue", async () => {
  const { clock, bench, machine, commander, sweeper, deleteBefore } = leased();
  const { queues } = machine.parts;
  await clock.advance(PASS_MS);
  expect(commander.started).toEqual([]);
  deleteBefore(3);
  await clock.advance(PASS_MS);
  await clock.advance(PASS_MS);
  const [command, ...others] = commander.take();
  expect(others).toEqual([]);
  const fields = { queueId: 1, visibilityMs: 0, candidates: [] } as const;
  expect(command).toMatchObject({ type: "receive", fields });
  expect(queues.items).toBe(4);
  bench.do({ type: "receive", ...fields });
  command?.done(null);
  expect(queues.items).toBe(1);
  expect(queues.byName.get("q")).toMatchObject({ inFlight: 1, lost: 3 });
  await clock.advance(1_000);
  expect(commander.started).toEqual([]);
  sweeper.stop();
});

test("queues whose topic was deleted are forgotten with their items, once the log may say so", async () => {
  const { clock, bench, machine, commander, sweeper } = leased();
  bench.createTopic("others", 1);
  bench.do({ type: "define_queue", name: "other", definition: { ...DEFINITION, topic: "others" } });
  bench.do({ type: "delete_topic", name: "jobs" });
  machine.level = LEVEL_DELIVERY - 1;
  await clock.advance(PASS_MS);
  expect(commander.started).toEqual([]);
  machine.level = LEVEL_DELIVERY;
  await clock.advance(3 * PASS_MS);
  const [command, ...others] = commander.take();
  expect([command?.type, others]).toEqual(["forget_queues", []]);
  expect(machine.parts.queues.items).toBe(4);
  expect(bench.do({ type: "forget_queues" })).toMatchObject({ ok: true, removed: 1 });
  command?.done(null);
  expect([machine.parts.queues.items, [...machine.parts.queues.byName.keys()]]).toEqual([
    0,
    ["other"],
  ]);
  await clock.advance(PASS_MS);
  expect(commander.started).toEqual([]);
  sweeper.stop();
});

test("a command that was refused is proposed again", async () => {
  const { clock, commander, sweeper, deleteBefore } = leased();
  commander.refuses = true;
  deleteBefore(1);
  await clock.advance(350);
  expect(commander.started.length).toBe(3);
  sweeper.stop();
});

test("a queue whose ready records are not exhausted, or cannot be put aside, is looked at more rarely", async () => {
  const { clock, sweeper, sweeps, found } = leased();
  await clock.advance(60_000);
  expect(sweeps).toEqual([60_000]);
  found.looked = 500_000;
  await clock.advance(2_500);
  expect(sweeps).toEqual([60_000, 60_100, 61_100, 62_100]);
  Object.assign(found, { looked: 1, failed: 1 });
  await clock.advance(2_000);
  expect(sweeps.slice(4)).toEqual([63_100, 64_100]);
  sweeper.stop();
});
