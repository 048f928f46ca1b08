/** Keys, values and namespaces are bounded, and what makes room is always accepted. */
import { expect, test } from "bun:test";
import type { KvPutOutcome } from "../../src/node/api.ts";
import type { Node } from "../../src/node/node.ts";
import { stored } from "../tools/node/as-promises.ts";
import { SingleNode } from "../tools/node/single-node.ts";
import { Random } from "../tools/random.ts";

const single = new SingleNode(new Random(1), undefined, { bytesMax: 2_000, namespacesMax: 2 });
const node: Node = await single.open();

const put = (namespace: string, key: string, bytes: number): Promise<KvPutOutcome> =>
  single.settled(
    stored(node, {
      namespace,
      key,
      value: new Uint8Array(bytes),
      cas: null,
      ttlMs: null,
      timeoutMs: null,
    }),
  );

test("a third namespace is refused, and the others go on", async () => {
  expect(await put("a", "k", 1)).toMatchObject({ ok: true });
  expect(await put("b", "k", 1)).toMatchObject({ ok: true });
  expect(await put("c", "k", 1)).toEqual({
    ok: false,
    code: "too_many_namespaces",
    details: { namespacesMax: 2 },
  });
  expect(await put("a", "k2", 1)).toMatchObject({ ok: true });
});

test("a namespace that is deleted makes room for another one", async () => {
  const drop = (namespace: string) =>
    single.settled(node.kvDeleteNamespace({ namespace, ifEmpty: false, timeoutMs: null }));
  expect(await drop("b")).toMatchObject({ ok: true, deleted: true, keys: 1, bytes: 2 });
  expect(await put("c", "k", 1)).toMatchObject({ ok: true, cas: 2 });
  expect(await put("b", "k", 1)).toMatchObject({ code: "too_many_namespaces" });
  expect(await drop("c")).toMatchObject({ ok: true, deleted: true });
  expect(await put("b", "k", 1)).toMatchObject({ ok: true, cas: 3 });
});

test("memory that is used up refuses growth, takes smaller values and deletions", async () => {
  // Three keys of 256 bytes each beside their own are there.
  expect(await put("a", "large", 900)).toMatchObject({ ok: true });
  const full = { ok: false, code: "kv_full", details: { bytesMax: 2_000 } } as const;
  expect(await put("a", "more", 1)).toEqual(full);
  expect(await put("a", "large", 901)).toEqual(full);
  expect(await put("a", "large", 900)).toMatchObject({ ok: true });
  const gone = node.kvDelete({ namespace: "a", key: "large", cas: null, timeoutMs: null });
  expect(await single.settled(gone)).toMatchObject({ ok: true, deleted: true });
  expect(await put("a", "more", 1)).toMatchObject({ ok: true });
});
