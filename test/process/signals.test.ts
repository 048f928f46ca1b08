/** Signals: which end a node, which reload its certificates, and which mean nothing. */
import { afterAll, afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";
import { Authority } from "../tools/transport/certificates.ts";

setDefaultTimeout(60_000); // For busy machines.
const directory = temporaryDirectory();
afterAll(directory.remove);
const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.kill();
});
let count = 0;

async function start(env: Record<string, string> = {}): Promise<Server> {
  const server = await startServer({ dataDir: join(directory.path, `data-${count++}`), env });
  servers.push(server);
  return server;
}

async function logged(server: Server, wanted: RegExp, times = 1): Promise<void> {
  while ((server.log().match(new RegExp(wanted, "g")) ?? []).length < times) await Bun.sleep(5);
}

test("SIGHUP, SIGUSR1, SIGUSR2 and SIGPIPE do not end a node; without TLS there is nothing to reload", async () => {
  for (const env of [{}, { RF_HA_DEDICATED_WORKER: "1" }]) {
    const server = await start(env);
    server.process.kill("SIGHUP");
    await logged(server, /msg="nothing to reload: no certificates are configured/);
    for (const signal of ["SIGUSR1", "SIGUSR2"] as const) {
      server.process.kill(signal);
      await logged(server, new RegExp(`msg="signal ignored" signal=${signal}`));
    }
    server.process.kill("SIGPIPE");
    server.process.kill("SIGHUP");
    await logged(server, /nothing to reload/, 2);
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
    expect(await server.stop()).toBe(0);
  }
});

test("SIGTERM, SIGINT and SIGQUIT stop a node in order", async () => {
  for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"] as const) {
    const server = await start();
    server.process.kill(signal);
    expect([signal, await server.process.exited]).toEqual([signal, 0]);
    expect(server.log()).toContain('msg="stopping"');
  }
});

const authority = new Authority(join(directory.path, "ca"));
const issue = () => authority.issue({ id: "localhost", file: `https-${count++}` });
const cert = join(directory.path, "https.pem");
const key = join(directory.path, "https.key");
function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}
function use(pair: { cert: string; key: string }): void {
  replace(cert, pair.cert);
  replace(key, pair.key);
}

function connection(url: string): Promise<TLSSocket> {
  const { port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ port: Number(port), host: "127.0.0.1", rejectUnauthorized: false });
    socket.once("secureConnect", () => resolve(socket));
    socket.once("error", reject);
  });
}
async function serialOf(url: string): Promise<string> {
  const socket = await connection(url);
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

for (const dedicated of ["0", "1"]) {
  test(`SIGHUP takes new certificates of HTTPS while requests go on, RF_HA_DEDICATED_WORKER=${dedicated}`, async () => {
    const first = issue();
    use(first);
    const server = await start({
      RF_TLS_CERT: cert,
      RF_TLS_KEY: key,
      RF_HA_DEDICATED_WORKER: dedicated,
    });
    const tls = { rejectUnauthorized: false };
    const headers = { authorization: "Bearer dev" };
    const request = (path: string, init: RequestInit = {}) =>
      fetch(server.url + path, { headers, tls, ...init });
    const serial = await serialOf(server.url);
    await request("/broker/topics", { method: "POST", body: '{"name":"t","partitions":1}' });

    // A key of another certificate, and no certificate at all.
    replace(key, issue().key);
    server.process.kill("SIGHUP");
    await logged(server, /using the old ones" use=HTTPS reason="RF_TLS_KEY is not the key/);
    replace(cert, "nothing");
    server.process.kill("SIGHUP");
    await logged(server, /using the old ones" use=HTTPS reason="RF_TLS_CERT has no certificate/);
    expect(await serialOf(server.url)).toBe(serial);

    const waiting = request("/broker/consume/t/g/0?offset=0&wait_ms=60000");
    await Bun.sleep(200);
    use(issue());
    server.process.kill("SIGHUP");
    await logged(server, /msg="certificates reloaded" use=HTTPS/);
    expect(await serialOf(server.url)).not.toBe(serial);
    const produced = await request("/broker/topics/t/produce?partition=0", {
      method: "POST",
      body: "x",
    });
    expect(produced.status).toBe(200);
    expect(((await (await waiting).json()) as { count: number }).count).toBe(1);
    expect(server.log()).not.toContain("PRIVATE");
    expect(await server.stop()).toBe(0);
  });
}

test("a certificate that does not fit its key ends a start with the reason", async () => {
  use({ cert: issue().cert, key: issue().key });
  const failed = await start({ RF_TLS_CERT: cert, RF_TLS_KEY: key }).catch((error) => error);
  expect(failed).toMatchObject({ code: 78 });
  expect(failed.log).toEndWith("RF_TLS_KEY is not the key of the certificate in RF_TLS_CERT\n");
});
