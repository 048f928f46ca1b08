import { describe, expect, test } from "bun:test";
import type { Measured } from "../bench/load/measure.ts";
import { AyderApi, provenStored, proveStored } from "../bench/load/proof.ts";
import { type Row, ratiosOf, runRounds, shown } from "../bench/load/table.ts";

const VALUE = btoa("x".repeat(64));

/** A server with as much of Ayder's API as the checks ask for, which gives the wrong answers of a fault. */
async function withServer(
  fault: "none" | "short" | "offset" | "value" | "lost" | "unsynced",
  run: (api: AyderApi, port: number) => Promise<void>,
): Promise<void> {
  const ends = Array.from({ length: 8 }, () => 2000);
  const page = (partition: number, offset: number, limit: number) => {
    const count = Math.min(limit, (ends[partition] ?? 0) - offset);
    const messages = Array.from({ length: fault === "short" ? count - 1 : count }, (_, at) => ({
      offset: offset + at + (fault === "offset" ? 1 : 0),
      value_b64: fault === "value" && at === count - 1 ? btoa("y") : VALUE,
    }));
    return { count, messages };
  };
  const produce = (partition: number, body: string) => {
    const offset = ends[partition] ?? 0;
    if (fault !== "lost" || body !== "load") ends[partition] = offset + 1;
    return { ok: true, offset, durable: true, synced: fault !== "unsynced" };
  };
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const { pathname, searchParams } = new URL(request.url);
      const number = (name: string) => Number(searchParams.get(name));
      if (request.method === "POST")
        return Response.json(produce(number("partition"), await request.text()));
      if (pathname.startsWith("/kv/")) return Response.json({ value: VALUE });
      const partition = Number(pathname.split("/").at(-1));
      return Response.json(page(partition, number("offset"), number("limit")));
    },
  });
  try {
    await run(new AyderApi(server.port ?? 0), server.port ?? 0);
  } finally {
    await server.stop(true);
  }
}

describe("a rate is printed only for right answers", () => {
  test("a server that is right passes", async () => {
    await withServer("none", async (api) => {
      expect(await api.firstPages(100)).toBe(100);
      expect(await api.stored()).toBe(8 * 2001);
      await api.synced("");
      await api.keys();
    });
  });

  for (const fault of ["short", "offset", "value"] as const) {
    test(`a page with a wrong ${fault} is refused`, async () => {
      await withServer(fault, async (api) => {
        const path = "/broker/consume/bench/g/0?offset=0&limit=100&encoding=b64";
        const message = `${path}: not the messages that were stored`;
        await expect(api.firstPages(100)).rejects.toThrow(message);
        await expect(api.stored()).rejects.toThrow("not the messages that were stored");
      });
    });
  }

  test("messages that were acknowledged and are not stored are missed", async () => {
    await withServer("lost", async (api, port) => {
      const load = async () => {
        const url = `http://127.0.0.1:${port}/broker/topics/bench/produce?partition=3`;
        for (let n = 0; n < 5; n++) await fetch(url, { method: "POST", body: "load" });
        return { answered: 5 };
      };
      const message = "topic bench: 5 messages were acknowledged, 0 are stored";
      await expect(provenStored(api, 1, 2, load)).rejects.toThrow(message);
    });
  });

  test("an answer before the sync is refused", async () => {
    await withServer("unsynced", async (api) => {
      await expect(api.synced("&timeout_ms=1")).rejects.toThrow("timeout_ms=1: not synced");
    });
  });

  test("requests without an answer at the end may be stored or not", () => {
    for (const grown of [100, 101, 104]) proveStored("s", grown, 100, 4);
    for (const grown of [0, 99, 105])
      expect(() => proveStored("s", grown, 100, 4)).toThrow(
        `s: 100 messages were acknowledged, ${grown} are stored`,
      );
  });
});

const NONE = { p50Ms: 1, p99Ms: 2, maxMs: 3, errors: 0, bytesPerSecond: 0, answered: 1 };

function rowOf(name: string, rates: readonly number[], base: Row | null, messages = 1): Row {
  const results = rates.map(
    (perSecond): Measured => ({ ...NONE, perSecond, mainUs: 1, othersUs: 0 }),
  );
  return { name, messages, base, results, run: () => Promise.reject(new Error("not run")) };
}

describe("tables", () => {
  test("a ratio is of messages, and of two results of the same round", () => {
    const ours = rowOf("ours", [100, 200, 300], null, 1000);
    const peer = rowOf("peer", [200, 100, 300], ours, 245);
    expect(ratiosOf(ours)).toEqual([]);
    const expected = [100_000 / 49_000, 200_000 / 24_500, 300_000 / 73_500];
    expect(ratiosOf(peer)).toEqual(expected);
    expect(shown(peer).trim().split(/ {2,}/)).toEqual([
      ...["peer", "49,000", "100%", "200", "1.00", "2.00", "1.0+0.0", "4.08", "2.04 to 8.16"],
    ]);
  });

  test("each round begins with another row", async () => {
    const order: string[] = [];
    const rows = ["a", "b", "c"].map((name) => ({
      ...rowOf(name, [], null),
      run: async (seconds: number) => {
        order.push(`${name}${seconds}`);
        return rowOf(name, [1], null).results[0] as Measured;
      },
    }));
    const settle = () => void order.push("-");
    await runRounds(rows, { warmupSeconds: 9, seconds: 1, rounds: 3, settle });
    expect(order.join("")).toBe("a9b9c9-a1-b1-c1-b1-c1-a1-c1-a1-b1");
    expect(rows.map(({ results }) => results.length)).toEqual([3, 3, 3]);
  });
});
