/** Fills a topic with messages, for measurements that need many. */
import { bigValue } from "./requests.ts";

const headers = { authorization: "Bearer dev" };

/** Creates the topic `big` and fills its partitions at the same time, with values that `bigValue` gives. */
export async function fillPartitions(
  port: number,
  partitions: number,
  messages: number,
  { lines = 1_000, silent = false } = {},
): Promise<void> {
  const url = `http://127.0.0.1:${port}/broker`;
  const body = JSON.stringify({ name: "big", partitions });
  await fetch(`${url}/topics`, { method: "POST", headers, body });
  const begin = performance.now();
  await Promise.all(
    Array.from({ length: partitions }, async (_, partition) => {
      for (let from = 0; from < messages / partitions; from += lines) {
        const path = `/topics/big/produce-ndjson?partition=${partition}`;
        const answer = await fetch(url + path, {
          method: "POST",
          headers,
          body: textOf(from, lines),
        });
        if (answer.status !== 200) throw new Error(await answer.text());
      }
    }),
  );
  const seconds = (performance.now() - begin) / 1000;
  if (!silent) console.log(`filled ${messages} messages in ${seconds.toFixed(1)} s`);
}

function textOf(from: number, lines: number): string {
  let text = "";
  for (let i = 0; i < lines; i++) text += `${bigValue(from + i)}\n`;
  return text;
}
