/** Bytes and helpers for the tests of stream processing. */
import { expect } from "bun:test";
import { Client, type Json } from "./target.ts";

/** The first integer that a double cannot hold. */
export const BIG = 9007199254740993n;
export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return [...bytes, Number(rest)];
}
const textBytes = (text: string): number[] => [text.length, ...Buffer.from(text)];
/** `{id: long, name: string}` in Avro binary. */
export const avro = (id: bigint, name: string) =>
  new Uint8Array([...varint(id << 1n), name.length << 1, ...Buffer.from(name)]);
/** `message Order { int64 id = 1; string note = 2; }` on the wire. */
export const proto = (id: bigint, note: string) =>
  new Uint8Array([8, ...varint(id), 18, ...textBytes(note)]);
export const AVRO = JSON.stringify({
  type: "record",
  name: "User",
  fields: [
    { name: "id", type: "long" },
    { name: "name", type: "string" },
  ],
});
export const PROTO = 'syntax = "proto3"; message Order { int64 id = 1; string note = 2; }';

/** Produces as lines and asks. */
export class StreamClient extends Client {
  query(body: Json) {
    return this.ask("POST /broker/query", { body });
  }

  join(body: Json) {
    return this.ask("POST /broker/join", { body });
  }

  async fill(topic: string, values: readonly unknown[], partition: number): Promise<void> {
    const lines = values.map((value) =>
      typeof value === "string" ? value : JSON.stringify(value),
    );
    const line = `POST /broker/topics/${topic}/produce-ndjson?partition=${partition}`;
    expect((await this.ask(line, { body: lines.join("\n") })).status).toBe(200);
  }

  async filled(values: readonly unknown[], partition = 0): Promise<string> {
    const topic = await this.topic("streamed");
    await this.fill(topic, values, partition);
    return topic;
  }
}

export function joinOf(source: Json, more: Json): Json {
  return { left: source, right: source, on: { left_key: "a", right_key: "a" }, ...more };
}
