import { expect, test } from "bun:test";
import { DecodeError } from "../../src/lib/bytes.ts";
import type { NodeId } from "../../src/lib/ids.ts";
import { Machine } from "../../src/machine/machine.ts";
import { Bench, memberOf } from "../tools/machine/support.ts";

const id = (text: string): NodeId => text as NodeId;
const snapshotOf = (machine: Machine): Uint8Array =>
  machine.beginSnapshot().next(1e9) ?? new Uint8Array(0);
const storageIdOf = (bench: Bench): string | null | undefined =>
  bench.machine.members.get(id("n1"))?.storageId;

test("a member is put, replaced and removed, and each change is told once", () => {
  const bench = new Bench();
  expect(bench.do(memberOf("n1", null))).toEqual({ ok: true, type: "put_member", changed: true });
  expect(bench.do(memberOf("n1", null))).toMatchObject({ changed: false });
  expect(bench.do({ ...memberOf("n1", null), host: "b", httpPort: 80 })).toMatchObject({
    changed: true,
  });
  expect(bench.machine.members.get(id("n1"))).toEqual({
    id: id("n1"),
    host: "b",
    raftPort: 7000,
    httpPort: 80,
    priority: 5,
    storageId: null,
  });
  const remove = { type: "remove_member", id: id("n1") } as const;
  expect(bench.do(remove)).toEqual({ ok: true, type: "remove_member", removed: true });
  expect(bench.do(remove)).toMatchObject({ removed: false });
  expect(bench.machine.members.size).toBe(0);
  expect(bench.lines).toEqual(["members", "members", "members"]);
});

test("a recorded storage id stays, whatever is announced, until a reset is asked for", () => {
  const bench = new Bench();
  bench.do(memberOf("n1", "disk-1"));
  bench.do({ ...memberOf("n1", null), host: "elsewhere" });
  expect(storageIdOf(bench)).toBe("disk-1");
  bench.do(memberOf("n1", "disk-2"));
  expect(storageIdOf(bench)).toBe("disk-1");
  bench.do({ ...memberOf("n1", null), resetStorageId: true });
  expect(storageIdOf(bench)).toBeNull();
  bench.do({ ...memberOf("n1", "disk-3"), resetStorageId: true });
  expect(storageIdOf(bench)).toBe("disk-3");
});

test("the directory is part of a snapshot, whatever the order in which members came", () => {
  const [a, b] = [new Bench(), new Bench()];
  for (const name of ["n1", "n2", "__proto__"]) a.do(memberOf(name, `disk of ${name}`));
  for (const name of ["__proto__", "n2", "n1"]) b.do(memberOf(name, `disk of ${name}`));
  expect(a.machine.digest()).toBe(b.machine.digest());
  expect(snapshotOf(a.machine)).toEqual(snapshotOf(b.machine));
  const copy = Machine.restore([snapshotOf(a.machine)]);
  expect(copy.members.get(id("n2"))).toEqual(a.machine.members.get(id("n2")));
  expect(copy.members.size).toBe(3);
  expect(copy.digest()).toBe(a.machine.digest());
});

test("the bytes of the directory in a snapshot stay readable", () => {
  const bench = new Bench();
  bench.do(memberOf("n1", "disk"));
  bench.do(memberOf("n2", null));
  const golden =
    "4159534d010116000000e80300000000000080b89929c0843d904e010000000109" +
    "29000000" +
    "026e31" +
    "0831302e302e302e31" +
    "d836d93605" +
    "01046469736b" +
    "026e32" +
    "0831302e302e302e31" +
    "d836d93605" +
    "00" +
    "080400000002000000";
  expect(Buffer.from(snapshotOf(bench.machine)).toString("hex")).toBe(golden);
  expect(Machine.restore([Buffer.from(golden, "hex")]).digest()).toBe(bench.machine.digest());
});

test("members out of order or with an unknown flag are refused", () => {
  const bench = new Bench();
  bench.do(memberOf("n1", "disk"));
  bench.do(memberOf("n2", null));
  const bytes = Buffer.from(snapshotOf(bench.machine));
  const swapped = Buffer.from(bytes);
  swapped[swapped.indexOf("n2") + 1] = 0x30;
  expect(() => Machine.restore([swapped])).toThrow(DecodeError);
  const flagged = Buffer.from(bytes);
  flagged[flagged.indexOf("\u0001\u0004disk")] = 2;
  expect(() => Machine.restore([flagged])).toThrow("flags of a member");
});
