// The parts of the harness that decide what a history says.
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { filesByKind, flipBit } from "../tools/cluster/bitflip-scenario.ts";
import { Connection, NoAnswer, NotSent } from "../tools/cluster/http-connection.ts";
import { readReply } from "../tools/cluster/http-reply.ts";
import { bodyOf, outcomeOf } from "../tools/cluster/outcome.ts";
import { idOf, payloadOf } from "../tools/cluster/payload.ts";
import { Direction, type Weather } from "../tools/cluster/relay.ts";
import { freePorts } from "../tools/process/ports.ts";
import { temporaryDirectory } from "../tools/process/server.ts";
import { Random } from "../tools/random.ts";

const directory = temporaryDirectory();
afterAll(directory.remove);

test("a payload gives its id back, unless a bit of it differs", () => {
  const random = new Random(1);
  for (let i = 0; i < 200; i++) {
    const payload = payloadOf(`p1-${i}`, random);
    expect(idOf(payload)).toBe(`p1-${i}`);
    const bytes = Buffer.from(payload);
    const at = random.below(bytes.length);
    bytes[at] = (bytes[at] as number) ^ 1;
    expect(idOf(bytes.toString())).not.toBe(`p1-${i}`);
  }
});

test("only what guarantees that nothing was done is a failure", () => {
  const outcome = (status: number, error?: string) =>
    outcomeOf({ status, headers: new Map(), body: "", closes: false }, { error });
  expect(outcome(200)).toBe("ok");
  expect(outcome(202)).toBe("unknown");
  expect(outcome(400, "invalid_json")).toBe("fail");
  expect(outcome(404)).toBe("unknown");
  expect(outcome(409, "cas_mismatch")).toBe("fail");
  expect(outcome(500, "internal_error")).toBe("unknown");
  expect(outcome(503, "no_leader")).toBe("fail");
  expect(outcome(503, "anything else")).toBe("unknown");
  expect(outcome(504, "commit_timeout")).toBe("unknown");
  expect(outcome(507, "disk_full")).toBe("fail");
});

test("an answer is read whole, also in chunks, and not before", () => {
  const plain = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"ok":true}');
  const chunked = Buffer.from(
    'HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n6\r\n{"ok":\r\n5\r\ntrue}\r\n0\r\n\r\n',
  );
  for (const bytes of [plain, chunked]) {
    const reply = readReply(bytes);
    expect(reply === null ? null : bodyOf(reply)).toEqual({ ok: true });
  }
  for (let end = 0; end < plain.length; end++) expect(readReply(plain.subarray(0, end))).toBeNull();
  expect(readReply(chunked)).toMatchObject({ status: 503, closes: true });
});

test("nobody there is a failure, silence and a broken connection are unknown", async () => {
  const [port = 0] = freePorts(1);
  const open = Connection.open({ host: "127.0.0.1", port }, 1_000);
  expect(open).rejects.toBeInstanceOf(NotSent);
  const request = { method: "POST", target: "/x", token: "t", body: "b" };
  for (const silent of [true, false]) {
    const server = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data: (socket) => (silent ? undefined : socket.terminate()) },
    });
    const connection = await Connection.open({ host: "127.0.0.1", port: server.port }, 1_000);
    expect(await connection.request(request, 50).catch((error) => error)).toBeInstanceOf(NoAnswer);
    // And this connection sends nothing any more.
    expect(await connection.request(request, 50).catch((error) => error)).toBeInstanceOf(NotSent);
    server.stop(true);
  }
});

test("a direction delays, holds back, and breaks in the middle", async () => {
  const sent: string[] = [];
  let broken = false;
  let weather: Weather = { blocked: true, delayMs: 0 };
  const target = {
    write: (bytes: Uint8Array) => sent.push(Buffer.from(bytes).toString()) && bytes.length,
  };
  const direction = new Direction(
    () => weather,
    () => {
      broken = true;
    },
  );
  direction.open(target as unknown as Parameters<Direction["open"]>[0]);
  direction.push(Buffer.from("held"));
  expect(sent).toEqual([]);
  weather = { blocked: false, delayMs: 20 };
  direction.pump();
  expect(sent).toEqual(["held"]);
  direction.push(Buffer.from("late"));
  expect(sent).toEqual(["held"]);
  await Bun.sleep(60);
  expect(sent).toEqual(["held", "late"]);
  weather = { blocked: false, delayMs: 0 };
  direction.cutNext();
  direction.push(Buffer.from("halved"));
  expect(sent.at(-1)).toBe("hal");
  expect(broken).toBe(true);
});

test("files are told apart by kind, and one bit is flipped", () => {
  const partition = join(directory.path, "shards/0/partitions/1-0");
  mkdirSync(partition, { recursive: true });
  const segment = join(partition, "7.seg");
  for (const path of [segment, join(partition, "9.seg"), join(directory.path, "FORMAT")]) {
    writeFileSync(path, "abcd");
  }
  writeFileSync(join(directory.path, "LOCK"), "1");
  expect([...filesByKind(directory.path).keys()].sort()).toEqual(["FORMAT", "partitions/*.seg"]);
  flipBit(segment, new Random(1));
  const bits = [...readFileSync(segment)].map((byte, i) => byte ^ "abcd".charCodeAt(i));
  const flipped = bits.filter((difference) => difference !== 0);
  expect(flipped).toHaveLength(1);
  expect(Math.log2(flipped[0] ?? 0) % 1).toBe(0);
});
