/** Fills a topic with messages, for measurements that need many. */

const LINES = 1_000;
export const VALUE_BYTES = 64;
const headers = { authorization: "Bearer dev" };

/** Creates the topic `big` and fills its partitions at the same time. */
export async function fillPartitions(
  port: number,
  partitions: number,
  messages: number,
): Promise<void> {
  const url = `http://127.0.0.1:${port}/broker`;
  const body = JSON.stringify({ name: "big", partitions });
  await fetch(`${url}/topics`, { method: "POST", headers, body });
  const begin = performance.now();
  await Promise.all(
    Array.from({ length: partitions }, async (_, partition) => {
      for (let from = 0; from < messages / partitions; from += LINES) {
        const path = `/topics/big/produce-ndjson?partition=${partition}`;
        const answer = await fetch(url + path, { method: "POST", headers, body: lines(from) });
        if (answer.status !== 200) throw new Error(await answer.text());
      }
    }),
  );
  const seconds = (performance.now() - begin) / 1000;
  console.log(`filled ${messages} messages in ${seconds.toFixed(1)} s`);
}

function lines(from: number): string {
  let text = "";
  for (let i = 0; i < LINES; i++) text += `${String(from + i).padEnd(VALUE_BYTES, "x")}\n`;
  return text;
}
