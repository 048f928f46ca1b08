/** Goal: members of a cluster that is not upgraded get no command of groups. Method: whole nodes, one of an earlier level. */
import { expect, test } from "bun:test";
import { Script } from "../tools/sim/script.ts";

test("every command of groups is refused until the last member was upgraded", async () => {
  const script = new Script({ spares: 0 });
  const old = script.node("n3");
  // A version that knows headers, and neither numbered writes nor shared work.
  old.level = 1;
  script.start();
  await script.create("t");
  await script.until("the others lead", () => ["n1", "n2"].includes(script.leader?.id ?? ""));
  const who = { group: "g", member: "m" };
  const join = () =>
    script.ask((node) => node.groups.join({ ...who, topics: ["t"], leaseMs: 60_000 }));
  const refused = { ok: false, code: "cluster_not_upgraded" } as const;
  expect(await join()).toMatchObject(refused);
  expect(await script.ask((node) => node.groups.leave(who))).toMatchObject(refused);
  // A group that has only committed can be moved by this version only.
  const commit = { topic: "t", partition: 0, group: "g", offset: 0 };
  expect(await script.ask((node) => node.commitOffset(commit))).toMatchObject({ ok: true });
  const seek = { group: "g", topic: "t", partition: null, to: "latest" } as const;
  expect(await script.ask((node) => node.groups.seek(seek))).toMatchObject(refused);

  old.kill();
  old.level = null;
  old.start();
  await script.insist(
    (node) => node.groups.join({ ...who, topics: ["t"], leaseMs: 60_000 }),
    ({ ok }) => ok,
  );
  expect(await script.ask((node) => node.groups.seek(seek))).toMatchObject({ ok: true });
  expect(await script.ask((node) => node.groups.describe("g"))).toMatchObject({
    partitions: [{ owner: "m" }],
  });
}, 120_000);
