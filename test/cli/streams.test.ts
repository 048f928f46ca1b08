/** `ayder streams` as a process, and the same by the client. */
import { expect, test } from "bun:test";
import { createClient } from "../../src/client/index.ts";
import { ayder, type Run } from "../tools/process/ayder.ts";
import { testServer } from "../tools/process/test-server.ts";

const { server } = testServer();
const client = () => createClient({ url: server.url, token: "dev" });
const run = (...args: string[]): Promise<Run> => ayder(args, { env: { AYDER_URL: server.url } });

test("a stream of JSON is created, appended to, read, closed and deleted", async () => {
  const made = ["create", "chats/1", "-t", "application/json", "--ttl", "2h"];
  expect((await run("streams", ...made)).out).toBe("chats/1 created\n");
  expect((await run("streams", ...made)).out).toBe("chats/1 exists\n");
  const appended = await run(
    "streams",
    "append",
    "chats/1",
    '[{"n":1.0},{"n":12345678901234567890}]',
  );
  const end = /^end (\S+)\n$/.exec(appended.out)?.[1] ?? "";
  expect(end).not.toBe("");
  expect(await run("streams", "read", "chats/1")).toEqual({
    code: 0,
    out: '{"n":1.0}\n{"n":12345678901234567890}\n',
    err: "",
  });
  expect((await run("streams", "append", "chats/1", '"last"')).code).toBe(0);
  expect((await run("streams", "read", "chats/1", "--from", end)).out).toBe('"last"\n');
  expect((await run("streams", "list")).out).toBe(
    [
      "STREAM   TYPE              RECORDS  SIZE  STATE  TTL",
      "chats/1  application/json        3  41 B  open   2 h",
      "",
    ].join("\n"),
  );

  const followed = run("streams", "read", "chats/1", "--follow", "--from", end);
  const closed = await run("streams", "close", "chats/1");
  expect(closed.out).toMatch(/^chats\/1 is closed at \S+\n$/);
  expect(await followed).toEqual({ code: 0, out: '"last"\n', err: "" });
  const refused = await run("streams", "append", "chats/1", "1");
  expect([refused.code, refused.err.includes("(stream_closed)")]).toEqual([1, true]);

  expect((await run("streams", "delete", "chats/1")).out).toBe("deleted chats/1\n");
  const absent = await run("streams", "read", "chats/1");
  expect([absent.code, absent.err.includes("(stream_not_found)")]).toEqual([1, true]);
  expect(JSON.parse((await run("streams", "list", "--json")).out)).toEqual({ streams: [] });
});

test("a stream is shown, forked at an offset and followed; its body may come from standard input", async () => {
  const piped = (text: string, ...args: string[]) =>
    ayder(args, { env: { AYDER_URL: server.url }, stdin: text });
  await run("streams", "create", "log", "-t", "text/plain");
  const end =
    /^end (\S+)\n$/.exec((await piped("one\n", "streams", "append", "log")).out)?.[1] ?? "";
  await piped("two\n", "streams", "append", "log");
  const forked = await run("streams", "fork", "log", "log/fork", "--at", end, "--ttl", "2h");
  expect(forked).toEqual({ code: 0, out: "log/fork created\n", err: "" });
  expect((await run("streams", "read", "log/fork")).out).toBe("one\n");
  const shown = await run("streams", "show", "log/fork");
  expect(shown.out.split("\n").map((line) => line.replace(/\d{4}-.*Z$/, "TIME"))).toEqual([
    "stream       log/fork",
    "type         text/plain",
    "state        open",
    "records      0",
    "size         0 B",
    `end          ${(await client().durable.stream("log/fork").describe()).nextOffset}`,
    "ttl          2 h",
    "expires      TIME",
    "forked from  log",
    `fork offset  ${end}`,
    "producers    0",
    "",
  ]);
  const json = JSON.parse((await run("streams", "show", "log", "--json")).out);
  expect(json).toMatchObject({ path: "log", records: 2, forks: 1, producers: [] });
  const followed = run("streams", "follow", "log", "--from", end);
  await run("streams", "close", "log");
  expect(await followed).toEqual({ code: 0, out: "two\n", err: "" });
  const beyond = await run(
    "streams",
    "fork",
    "log",
    "x",
    "--at",
    "0000000000000009_0000000000000009",
  );
  expect([beyond.code, beyond.err.includes("(fork_offset_beyond_end)")]).toEqual([1, true]);
  for (const path of ["log/fork", "log"]) await run("streams", "delete", path);
});

test("the client lists page by page, reads bytes and follows to the close", async () => {
  const { durable } = client();
  for (const path of ["b/1", "a/2", "a/1"]) {
    expect(await durable.stream(path).create({ contentType: "text/plain" })).toBe(true);
  }
  const first = await durable.list({ prefix: "a/", limit: 1 });
  expect(first.streams.map(({ path }) => path)).toEqual(["a/1"]);
  const second = await durable.list({ prefix: "a/", limit: 1, after: first.next ?? "" });
  expect(second.streams.map(({ path }) => path)).toEqual(["a/2"]);

  const stream = durable.stream("a/1");
  const followed = Array.fromAsync(stream.chunks({ follow: true }), ({ text }) => text);
  await stream.append("one ", { contentType: "text/plain" });
  await stream.append("two", { contentType: "text/plain", close: true });
  expect((await followed).join("")).toBe("one two");
  expect(await stream.read()).toMatchObject({ text: "one two", upToDate: true, closed: true });

  // Sizes are measured once a second.
  const metrics = () => client().request({ method: "GET", path: "/metrics" });
  while (!(await metrics()).includes("\nayder_streams 3\n")) await Bun.sleep(50);
  expect(await metrics()).toContain("\nayder_streams_limit 100000\n");
});
