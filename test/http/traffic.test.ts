/** The counters of traffic: what was taken and what was handed out, each once. */
import { expect, test } from "bun:test";
import { fixture } from "../tools/http/fixture.ts";

test("records and bytes are counted as they are taken and handed out", async () => {
  const { ask, options } = fixture();
  const { producedRecords, producedBytes, consumedRecords, consumedBytes } = options.instruments;
  const produce = "POST /broker/topics/t/produce?partition=0";
  await ask(`${produce}&key=k`, { body: "four" });
  await ask("POST /broker/topics/t/produce-ndjson?partition=0", { body: "a\nbb\n" });
  expect([producedRecords.value, producedBytes.value]).toEqual([3, 8]);
  await ask(`${produce}&idempotency_key=i`, { body: "x" });
  await ask(`${produce}&idempotency_key=i`, { body: "x" });
  await ask("POST /broker/topics/bad!/produce", { body: "x" });
  expect([producedRecords.value, producedBytes.value]).toEqual([4, 9]);

  await ask("GET /broker/consume/t/g/0?offset=0&limit=2");
  await ask("GET /broker/consume/t/g/0?offset=2");
  await ask("GET /broker/consume/t/g/0?offset=4");
  expect([consumedRecords.value, consumedBytes.value]).toEqual([4, 9]);
});
