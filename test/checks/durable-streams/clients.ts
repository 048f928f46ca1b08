// The published client, unmodified, as it runs in Node, Bun and a browser.
import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client";

/** Sends a request again until there is an answer that is not of a server in trouble. */
const again = async (url, init) => {
  for (;;) {
    const answer = await fetch(url, init).catch(() => null);
    if (answer !== null && answer.status < 500) return answer;
    init?.signal?.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};

const headers = { authorization: "Bearer dev" };

const numbersFrom = (count) => Array.from({ length: count }, (_, n) => n);

function judge(seen, count) {
  const wanted = numbersFrom(count);
  if (JSON.stringify(seen) === JSON.stringify(wanted)) return;
  const lost = wanted.filter((n) => !seen.includes(n));
  const twice = seen.filter((n, at) => seen.indexOf(n) !== at);
  throw new Error(
    `lost ${JSON.stringify(lost)}, twice ${JSON.stringify(twice)}, ${seen.length} seen`,
  );
}

/** Follows the stream, and goes on at the offset of the last batch if a connection breaks. */
async function readAll({ url, live, count, seen, state }) {
  for (let offset = "-1"; seen.length < count; state.reads++) {
    try {
      const response = await stream({ url, headers, offset, live, fetch: again });
      await new Promise((resolve, reject) => {
        response.subscribeJson(async (batch) => {
          for (const { n } of batch.items) {
            // If a connection ends between records and their offset, the client delivers them again.
            if (n < seen.length) state.again++;
            else seen.push(n);
          }
          offset = batch.offset;
          if (seen.length >= count) resolve();
        });
        response.closed.then(resolve, reject);
      });
      response.cancel();
    } catch {
      // The connection was cut.
    }
  }
}

/** Writes numbers with the producer while nodes end, as a reader follows with each kind of live read. */
async function follow({ url, count, live, pauseMs }) {
  const made = await DurableStream.create({
    url,
    headers,
    contentType: "application/json",
    fetch: again,
  });
  const seen = [];
  const state = { reads: 0, again: 0 };
  const reading = readAll({ url, live, count, seen, state });
  // The outcome is looked at after the writes.
  reading.catch(() => {});
  const errors = [];
  const producer = new IdempotentProducer(made, `writer-${live}`, {
    fetch: again,
    lingerMs: 5,
    onError: (error) => errors.push(String(error)),
  });
  for (const n of numbersFrom(count)) {
    producer.append(JSON.stringify({ n }));
    if (n % 10 === 9) {
      await producer.flush();
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
  await producer.close();
  await reading;
  if (errors.length > 0) throw new Error(errors.join("; "));
  judge(seen, count);
  const stored = await (
    await stream({ url, headers, offset: "-1", live: false, fetch: again })
  ).json();
  judge(
    stored.map(({ n }) => n),
    count,
  );
  return `${live}: ${count} of ${count} in order, ${state.reads} reads, ${state.again} delivered again`;
}

/** Reads to an offset, and goes on from there with another client. */
async function resume({ url }) {
  const made = await DurableStream.create({
    url,
    headers,
    contentType: "text/plain",
    fetch: again,
  });
  const producer = new IdempotentProducer(made, "resume", { fetch: again });
  const append = (text) => {
    producer.append(text);
    return producer.flush();
  };
  await append("one ");
  const first = await stream({ url, headers, offset: "-1", live: false, fetch: again });
  const text = await first.text();
  await append("two ");
  await append("three");
  const second = await stream({ url, headers, offset: first.offset, live: false, fetch: again });
  const rest = await second.text();
  if (text !== "one " || rest !== "two three") throw new Error(`read ${text} and ${rest}`);
  await made.delete();
  return "resumed at an offset";
}

/** @returns a line for each scenario. */
export async function runAll({ base, name, count, pauseMs }) {
  const lines = [];
  for (const live of ["sse", "long-poll"]) {
    const url = `${base}/v1/stream/clients/${name}/${live}`;
    lines.push(await follow({ url, count, live, pauseMs }));
  }
  lines.push(await resume({ url: `${base}/v1/stream/clients/${name}/resume` }));
  return lines;
}

globalThis.runAll = runAll;
const given = globalThis.process?.env?.CLIENT_RUN;
if (given !== undefined) console.log((await runAll(JSON.parse(given))).join("\n"));
