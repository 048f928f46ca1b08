/** Goal: a node whose state is not that of the others ends, before it answers much from it. */
import { afterEach, expect, test } from "bun:test";
import { Machine } from "../../src/machine/machine.ts";
import { stored } from "../tools/node/as-promises.ts";
import { running } from "../tools/sim/life.ts";
import { Script } from "../tools/sim/script.ts";

const { apply } = Machine.prototype;
afterEach(() => {
  Machine.prototype.apply = apply;
});

/** Enough entries for a few runs. */
async function write(script: Script): Promise<void> {
  for (let i = 0; i < 80; i++) {
    const put = { namespace: "kv", key: `k${i}`, value: new Uint8Array(3) };
    await script.insist(
      (node) => stored(node, { ...put, cas: null, ttlMs: null, timeoutMs: null }),
      ({ ok }) => ok,
    );
  }
}

test("states are compared, and equal", async () => {
  const script = new Script({ spares: 0 });
  script.start();
  await write(script);
  await script.pass(3000);
  for (const { instruments } of script.cluster.nodes) {
    expect(instruments.stateChecks.value).toBeGreaterThan(0);
  }
});

test("one that differs ends with a fault that says so", async () => {
  let applied = 0;
  Machine.prototype.apply = function (payload, effects) {
    const differs = running.life?.name === "n3" && ++applied === 20;
    // As a bit of its memory that changed would.
    if (differs) this.kv.nextNamespaceId++;
    apply.call(this, payload, effects);
  };
  const script = new Script({ spares: 0 });
  script.start();
  const work = write(script).then(() => script.pass(3000));
  const error: unknown = await work.then(
    () => null,
    (cause: unknown) => cause,
  );
  expect(String(error)).toContain("n3: StateDiverged: the state of this node");
});
