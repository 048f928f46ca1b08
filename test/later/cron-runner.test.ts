/** Schedules that are due: which of them the leader proposes, and when it comes back to them. */
import { expect, spyOn, test } from "bun:test";
import { utf8 } from "../../src/lib/bytes.ts";
import { CronRunner } from "../../src/node/later/cron-runner.ts";
import { Later } from "../../src/node/later/later.ts";
import { Slots } from "../../src/node/later/slots.ts";
import { Bench } from "../tools/machine/support.ts";
import { RecordedCommander } from "../tools/node/recorded-commander.ts";
import { SimClock } from "../tools/sim/sim-clock.ts";

const CRON = {
  ...{ cron: "* * * * * *", tz: "", topic: "jobs", key: null, value: utf8("hi") },
  ...{ headers: new Uint8Array(0), catchUp: "none" as const },
};

/** Schedules by the second that are due since `lateMs`, the later in the alphabet the longer. */
function due(names: string, lateMs: number) {
  const clock = new SimClock();
  const bench = new Bench(undefined, clock.now());
  bench.createTopic("jobs", 1);
  for (const [at, name] of [...names].entries()) {
    const nextMs = Math.floor((clock.now() - lateMs) / 1_000) * 1_000 - at * 1_000;
    bench.do({ type: "put_cron", name, definition: CRON, nextMs });
  }
  const commander = new RecordedCommander();
  const { machine } = bench;
  const options = { machine, clock, commander: commander.asCommander };
  return { bench, clock, commander, machine, options };
}
const namesOf = (commander: RecordedCommander) =>
  commander.take().map(({ fields }) => fields["name"]);

test("a run looks at a bounded number of slots that passed, at the oldest first", () => {
  const { clock, commander, options } = due("abcdefgh", 600_000);
  const runner = new CronRunner(options);
  expect(runner.run(() => {})).toBe(false);
  // Each of them leaves out 200 slots.
  expect(namesOf(commander)).toEqual(["h", "g", "f", "e", "d"]);
  expect(runner.nextAt()).toBeLessThan(clock.now());
  runner.run(() => {});
  expect(namesOf(commander)).toEqual(["c", "b", "a"]);
  expect(runner.nextAt()).toBe(Number.POSITIVE_INFINITY);
});

test("a schedule that the log refused is due again, and the others are not tried", () => {
  const { commander, options } = due("ab", 1_000);
  const runner = new CronRunner(options);
  commander.refuses = true;
  expect(runner.run(() => {})).toBe(true);
  expect(namesOf(commander)).toEqual(["b"]);
  commander.refuses = false;
  expect(runner.run(() => {})).toBe(false);
  expect(namesOf(commander)).toEqual(["b", "a"]);
});

test("a schedule that this version cannot read waits for another leader, and stops no other", () => {
  const { bench, clock, commander, options } = due("a", 1_000);
  const definition = { ...CRON, tz: "Europe/Atlantis" };
  bench.do({ type: "put_cron", name: "b", definition, nextMs: clock.now() - 2_000 });
  const runner = new CronRunner(options);
  expect(runner.run(() => {})).toBe(false);
  expect(namesOf(commander)).toEqual(["a"]);
  expect(runner.nextAt()).toBe(Number.POSITIVE_INFINITY);
});

function laterOf({ options }: ReturnType<typeof due>): Later {
  const producer = { topicFor: () => Promise.reject(), choosePartition: () => 0 };
  return new Later({ ...options, producer, replica: { isLeader: true }, emit: () => {} });
}

test("a log that refuses a slot is asked again once a second", async () => {
  const given = due("a", 1_000);
  const { clock, commander } = given;
  commander.refuses = true;
  const later = laterOf(given);
  later.roleChanged();
  for (let i = 0; i < 500; i++) {
    await clock.advance(10);
    later.applied();
  }
  expect(commander.started.length).toBe(5);
  later.stop();
});

test("a slot that is due is proposed before its schedule is replaced", () => {
  const given = due("ab", 1_000);
  void laterOf(given).putCron("a", { ...CRON, value: utf8("other") });
  expect(given.commander.take().map(({ type, fields }) => [type, fields["name"]])).toEqual([
    ["fire_cron", "b"],
    ["fire_cron", "a"],
    ["put_cron", "a"],
  ]);
});

test("records of a deleted topic are forgotten long before they are due", async () => {
  const given = due("", 0);
  const { bench, clock, commander, machine } = given;
  bench.createTopic("others", 1);
  const schedule = (topicId: number) => {
    const what = { count: 1, logicalBytes: 1, batches: utf8("x"), idempotency: null };
    const deliverAt = bench.at + 86_400_000;
    bench.do({ type: "schedule_records", topicId, partition: 0, deliverAt, ...what });
  };
  for (const topicId of [1, 2, 1]) schedule(topicId);
  const [first = 0, second = 0, third = 0] = [...machine.parts.later.pending.values()].map(
    ({ id }) => id,
  );
  const later = laterOf(given);
  later.roleChanged();
  const forgotten = async (): Promise<unknown[]> => {
    await clock.advance(11_000);
    const deleted = commander.take().filter(({ type }) => type === "delete_scheduled");
    return deleted.map(({ fields }) => fields["scheduleId"]);
  };
  expect(await forgotten()).toEqual([]);
  bench.do({ type: "delete_topic", name: "jobs" });
  expect(await forgotten()).toEqual([first, third]);
  for (const scheduleId of [first, third]) bench.do({ type: "delete_scheduled", scheduleId });
  expect(await forgotten()).toEqual([]);
  expect(machine.parts.later.pending.size).toBe(1);
  expect(second).toBeGreaterThan(0);
  later.stop();
});

test("the next slot of a schedule by the second takes a few looks at its time zone", () => {
  const looks = spyOn(Intl.DateTimeFormat.prototype, "formatToParts");
  const slots = new Slots("* * * * * *", "Europe/Berlin");
  const before = looks.mock.calls.length;
  expect(slots.after(Date.parse("2026-07-01T10:00:00Z"))).toBe(Date.parse("2026-07-01T10:00:01Z"));
  expect(looks.mock.calls.length - before).toBeLessThan(10);
  looks.mockRestore();
});
