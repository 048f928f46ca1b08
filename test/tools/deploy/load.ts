/** A little of everything that a node does, so that no metric is without data. */
import { until } from "./prometheus.ts";

const HEADERS = { authorization: "Bearer dev" };

export type Load = { stop(): Promise<void> };

/**
 * @param urls of all nodes; writes go to the first that takes them.
 * @param lake what the export writes below, a `file:` address that the nodes allow.
 */
export async function startLoad(urls: readonly string[], lake: string): Promise<Load> {
  const ended = new AbortController();
  const { signal } = ended;
  let leader = "";
  const ask = async (method: string, path: string, body?: string, headers = HEADERS) => {
    const init = { method, headers, redirect: "manual", ...(body && { body }) } as const;
    const answer = await fetch(leader + path, init);
    await answer.bytes();
    return answer.status;
  };
  await until(async () => {
    for (leader of urls) {
      const body = '{"name":"orders","partitions":2}';
      if ((await ask("POST", "/broker/topics", body)) === 200) return true;
    }
    return false;
  });
  await ask(
    "PUT",
    "/broker/views/all",
    '{"source":{"topic":"orders"},"aggregate":{"measures":[{"op":"count"}]}}',
  );
  await ask("PUT", "/broker/queues/work", '{"topic":"orders"}');
  const cron = '{"cron":"* * * * * *","topic":"orders","value":"tick"}';
  await ask("PUT", "/broker/schedules/each", cron);
  const receiver = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("ok") });
  const made = [
    await ask("PUT", "/broker/webhooks/each", `{"topic":"orders","url":"${receiver.url}"}`),
    await ask("PUT", "/broker/exports/each", `{"topic":"orders","url":"${lake}","every_ms":10000}`),
  ];
  if (made.some((status) => status !== 200)) throw new Error(`webhook, export: ${made}`);
  const streams = urls.map((url) =>
    fetch(`${url}/broker/consume/orders/tail/0?follow=1`, {
      headers: { ...HEADERS, accept: "application/x-ndjson" },
      signal,
    })
      .then(async ({ body }) => {
        for await (const _ of body ?? []);
      })
      .catch(() => {}),
  );
  const lines = Array.from({ length: 20 }, (_, i) => `{"n":${i}}`).join("\n");
  const round = async () => {
    await Promise.all([
      ask("POST", "/broker/topics/orders/produce?partition=1", "one"),
      ask("POST", "/broker/topics/orders/produce-ndjson?partition=0", lines),
      ask("POST", "/kv/a/b", "value"),
    ]);
    await ask("GET", "/broker/consume/orders/billing/0?offset=0&limit=10");
    await ask(
      "POST",
      "/broker/commit",
      '{"topic":"orders","group":"billing","partition":0,"offset":1}',
    );
    await ask("GET", "/broker/topics", undefined, { authorization: "Bearer wrong" });
  };
  const rounds = (async () => {
    while (!signal.aborted) {
      await round();
      await Bun.sleep(20);
    }
  })();
  return {
    async stop() {
      ended.abort();
      await Promise.all([rounds, ...streams]);
      await receiver.stop(true);
    },
  };
}
