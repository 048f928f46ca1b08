import type { Client } from "./client.ts";
import type { Acknowledged } from "./model.ts";
import { PARTITIONS, TOPIC } from "./workload.ts";

type Message = { readonly offset: number; readonly value: string };

/** Reads everything back and throws on the first acknowledged thing that is not there. */
export async function check(
  client: Client,
  model: Acknowledged,
  fromLast: number,
): Promise<number> {
  let seen = 0;
  for (let partition = 0; partition < PARTITIONS; partition++) {
    seen += await checkPartition(client, model, partition, fromLast);
  }
  await checkCommits(client, model);
  await checkKv(client, model, fromLast);
  return seen;
}

/** Every key answers with its first offset, as a duplicate. */
export async function checkKeys(client: Client, model: Acknowledged, limit: number): Promise<void> {
  for (const [key, { partition, offset, value }] of [...model.keys].slice(-limit)) {
    const path = `/broker/topics/${TOPIC}/produce?partition=${partition}&idempotency_key=${key}`;
    const body = await client.must("POST", path, value);
    if (body["offset"] !== offset || body["duplicate"] !== true) {
      throw new Error(`key ${key} of ${partition}/${offset} answered ${JSON.stringify(body)}`);
    }
  }
}

async function checkPartition(
  client: Client,
  model: Acknowledged,
  partition: number,
  fromLast: number,
): Promise<number> {
  const ackedEnd = model.end(partition);
  const known = new Set(model.records.get(partition)?.values());
  let offset = Math.max(0, ackedEnd - fromLast);
  let seen = 0;
  for (;;) {
    const path = `/broker/consume/${TOPIC}/check/${partition}?offset=${offset}&limit=1000`;
    const page = await client.must("GET", path);
    let expected = Math.max(offset, checkFloor(model, partition, page["low_watermark"] as number));
    for (const message of page["messages"] as Message[]) {
      if (message.offset !== expected) {
        throw new Error(`gap in ${partition}: ${expected} expected, ${message.offset} came`);
      }
      checkMessage(model, known, partition, message);
      expected++;
      seen++;
    }
    offset = page["next_offset"] as number;
    if ((page["count"] as number) === 0) break;
  }
  if (offset < ackedEnd) throw new Error(`${partition} ends at ${offset}, acked up to ${ackedEnd}`);
  return seen;
}

function checkFloor(model: Acknowledged, partition: number, low: number): number {
  const sent = model.floors.get(partition) ?? 0;
  const acked = model.ackedFloors.get(partition) ?? 0;
  if (low > sent) throw new Error(`low watermark ${low} above ${sent} of ${partition}`);
  if (low < acked) throw new Error(`low watermark ${low} below ${acked} of ${partition}`);
  return low;
}

function checkMessage(
  model: Acknowledged,
  known: ReadonlySet<string>,
  partition: number,
  { offset, value }: Message,
): void {
  const acked = model.records.get(partition)?.get(offset);
  if (acked === value) return;
  const where = `${partition}/${offset}`;
  if (acked !== undefined) throw new Error(`${where} has other bytes than acknowledged`);
  if (known.has(value)) throw new Error(`${where} repeats an acknowledged record`);
  if (!model.unknown.has(value)) throw new Error(`${where} was never sent: ${value}`);
}

async function checkCommits(client: Client, model: Acknowledged): Promise<void> {
  for (const [key, offset] of model.commits) {
    const [group, partition] = key.split("/");
    const path = `/broker/consume/${TOPIC}/${group}/${partition}?limit=1`;
    const page = await client.must("GET", path);
    if ((page["committed_offset"] as number) < offset) {
      throw new Error(`${key} committed ${page["committed_offset"]}, acknowledged ${offset}`);
    }
  }
}

async function checkKv(client: Client, model: Acknowledged, limit: number): Promise<void> {
  for (const [key, { value, cas, unknown }] of [...model.kv].slice(-limit)) {
    const body = await client.must("GET", `/kv/crash/${key}`);
    const found = Buffer.from(body["value"] as string, "base64").toString();
    if (found !== value && !unknown.has(found)) throw new Error(`kv ${key} has another value`);
    if ((body["cas"] as number) < cas) throw new Error(`kv ${key} went back to ${body["cas"]}`);
  }
}
