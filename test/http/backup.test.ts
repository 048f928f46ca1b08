// Goal: a backup is sent as fast as its client reads it, and releases its files however it ends.
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { DEFAULT_MEMORY, type HttpOptions } from "../../src/http/options.ts";
import type { RunningServer } from "../../src/http/server.ts";
import { FakeBackup } from "../tools/http/fake-backup.ts";
import { fixture, startFixture, TOKEN } from "../tools/http/fixture.ts";

setDefaultTimeout(120_000);
const MIB = 1024 * 1024;
const running: RunningServer[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop(0)));
});

function start(backup: FakeBackup, changes: Partial<HttpOptions> = {}) {
  const made = startFixture(changes);
  running.push(made.server);
  made.node.beginBackup = async () => ({ ok: true, backup });
  return made;
}

const until = async (holds: () => boolean) => {
  for (let i = 0; i < 10_000 && !holds(); i++) await Bun.sleep(5);
  expect(holds()).toBe(true);
};
const download = (server: RunningServer, init: RequestInit = {}) =>
  fetch(`${server.url}/admin/backup`, { headers: { authorization: `Bearer ${TOKEN}` }, ...init });

function stuckClient(port: number): Socket {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  socket.pause();
  socket.write(
    `GET /admin/backup HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`,
  );
  return socket;
}

test("all bytes arrive, with the index in a header, and the files are let go", async () => {
  const backup = new FakeBackup(20, MIB);
  const response = await download(start(backup).server);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/octet-stream");
  expect(response.headers.get("ayder-backup-index")).toBe("7");
  expect(response.headers.get("ayder-backup-term")).toBe("2");
  expect(response.headers.get("ayder-backup-bytes")).toBe(String(20 * MIB));
  const bytes = await response.bytes();
  expect(bytes.length).toBe(20 * MIB);
  for (let i = 0; i < 20; i++) expect(bytes[i * MIB]).toBe(i + 1);
  await until(() => backup.released > 0);
});

test("a client that does not read stops the making, and one that goes away ends it", async () => {
  const backup = new FakeBackup(4096, MIB);
  const { server } = start(backup);
  const socket = stuckClient(server.port);
  await until(() => backup.pieces > 0);
  await Bun.sleep(200);
  const before = backup.pieces;
  await Bun.sleep(200);
  expect(backup.pieces - before).toBeLessThanOrEqual(1);
  // The sockets hold this many in the kernel, on both sides.
  expect(backup.pieces).toBeLessThan(64);
  expect(backup.released).toBe(0);
  socket.destroy();
  await until(() => backup.released > 0);
});

test("a client that takes nothing for as long as it is given loses its backup", async () => {
  const backup = new FakeBackup(4096, MIB);
  const { server } = start(backup, { memory: { ...DEFAULT_MEMORY, stalledAnswerMs: 500 } });
  const socket = stuckClient(server.port);
  await until(() => backup.released > 0);
  socket.destroy();
});

test("a download that is cancelled lets go of the files", async () => {
  const backup = new FakeBackup(4096, MIB);
  const { server } = start(backup);
  const response = await download(server);
  const reader = response.body?.getReader();
  await reader?.read();
  await reader?.cancel();
  await until(() => backup.released > 0);
  expect(backup.pieces).toBeLessThan(200);
});

test("damage that is met on the way cuts the answer off: it does not end like a whole one", async () => {
  const backup = new FakeBackup(64, MIB, 40);
  const response = await download(start(backup).server);
  await expect(response.bytes()).rejects.toThrow();
  await until(() => backup.released > 0);
});

test("a server that stops cuts a backup off", async () => {
  const backup = new FakeBackup(4096, MIB);
  const { server, app } = start(backup);
  const socket = stuckClient(server.port);
  await until(() => backup.pieces > 0);
  app.beginStop();
  await until(() => backup.released > 0);
  socket.destroy();
});

test("HEAD takes no checkpoint, and a refusal is an answer", async () => {
  const { ask, node } = fixture();
  let begun = 0;
  node.beginBackup = async () => {
    begun++;
    return { ok: false, code: "disk_full" };
  };
  const head = await ask("HEAD /admin/backup");
  expect(head.status).toBe(200);
  expect(begun).toBe(0);
  const refused = await ask("GET /admin/backup");
  expect(refused.status).toBe(507);
  expect(refused.body).toMatchObject({ ok: false, error: "disk_full" });
  expect((await ask("GET /admin/backup?x=1")).body).toMatchObject({ error: "unknown_parameter" });
});

test("a client that leaves before the first byte leaves nothing held", async () => {
  const backup = new FakeBackup(4096, MIB);
  const { server, node } = start(backup);
  let isAsked = false;
  const { promise, resolve } = Promise.withResolvers<void>();
  node.beginBackup = async () => {
    isAsked = true;
    await promise;
    return { ok: true, backup };
  };
  const stop = new AbortController();
  const asked = download(server, { signal: stop.signal });
  await until(() => isAsked);
  stop.abort();
  await expect(asked).rejects.toThrow();
  await Bun.sleep(100);
  resolve();
  await until(() => backup.released > 0);
});
