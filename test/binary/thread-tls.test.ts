/** HTTPS on several threads: writes, reads, streams, new certificates, and the stop. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { startServer, temporaryDirectory } from "../tools/process/server.ts";
import { Authority } from "../tools/transport/certificates.ts";

setDefaultTimeout(120_000); // For busy machines.
const directory = temporaryDirectory();
afterAll(directory.remove);
const authority = new Authority(join(directory.path, "ca"));
const cert = join(directory.path, "https.pem");
const key = join(directory.path, "https.key");
/** Connections, which the kernel spreads over the threads. */
const CONNECTIONS = 24;

/** Makes a new certificate the configured one. */
function renewFiles(file: string): void {
  authority.issue({ id: "localhost", alternativeNames: ["IP:127.0.0.1"], file });
  for (const [from, to] of [
    [`${file}.pem`, cert],
    [`${file}.key`, key],
  ] as const) {
    copyFileSync(join(authority.directory, from), `${to}.new`);
    renameSync(`${to}.new`, to);
  }
}

const tls = { ca: authority.ca };
/** On a connection of its own. */
const ask = (url: string, init: RequestInit = {}) =>
  fetch(url, {
    tls,
    ...init,
    headers: { authorization: "Bearer dev", connection: "close", ...init.headers },
  });

/** The numbers of the certificates that new connections are shown. */
async function serials(url: string): Promise<Set<string>> {
  const shown = Array.from(
    { length: CONNECTIONS },
    () =>
      new Promise<string>((resolve, reject) => {
        const { port } = new URL(url);
        const socket = connect({ port: Number(port), host: "127.0.0.1", ca: authority.ca });
        socket.once("secureConnect", () => {
          resolve(socket.getPeerCertificate().serialNumber);
          socket.destroy();
        });
        socket.once("error", reject);
      }),
  );
  return new Set(await Promise.all(shown));
}

class Follower {
  text = "";
  readonly ended: Promise<void>;

  constructor(response: Response) {
    this.ended = this.#read(response);
  }

  static async open(url: string): Promise<Follower> {
    const response = await ask(`${url}/broker/consume/t/g/0?offset=0`, {
      headers: { accept: "text/event-stream" },
    });
    expect(response.status).toBe(200);
    return new Follower(response);
  }

  async has(count: number): Promise<void> {
    while ((this.text.match(/^id: /gm) ?? []).length < count) await Bun.sleep(5);
  }

  async #read(response: Response): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? []) this.text += decoder.decode(bytes);
  }
}

test("produce, consume, follow, a renewed certificate, and a stop within the grace", async () => {
  renewFiles("first");
  const server = await startServer({
    dataDir: join(directory.path, "data"),
    env: { RF_WORKERS: "2", RF_TLS_CERT: cert, RF_TLS_KEY: key },
  });
  const { url } = server;
  expect(url).toStartWith("https://");
  const produce = async (body: string): Promise<void> => {
    const path = "/broker/topics/t/produce?partition=0";
    expect((await ask(url + path, { method: "POST", body })).status).toBe(200);
  };
  await produce("creates the topic");
  await Promise.all(Array.from({ length: CONNECTIONS - 1 }, (_, n) => produce(`m${n}`)));
  const page = await ask(`${url}/broker/consume/t/g/0?offset=0&limit=1000`);
  const { messages } = (await page.json()) as { messages: { value: string }[] };
  expect(new Set(messages.map(({ value }) => value)).size).toBe(CONNECTIONS);

  const followers = await Promise.all(
    Array.from({ length: CONNECTIONS }, () => Follower.open(url)),
  );
  await Promise.all(followers.map((follower) => follower.has(CONNECTIONS)));
  const before = await serials(url);
  expect(before.size).toBe(1);
  renewFiles("second");
  server.process.kill("SIGHUP");
  const reloaded = () => server.log().match(/msg="certificates reloaded" use=HTTPS/g) ?? [];
  while (reloaded().length < 2) await Bun.sleep(5);
  const after = await serials(url);
  expect(after.size).toBe(1);
  expect(after).not.toEqual(before);

  // Streams that began with the old certificate go on.
  await produce("after the renewal");
  await Promise.all(followers.map((follower) => follower.has(CONNECTIONS + 1)));
  const waiting = ask(`${url}/broker/consume/t/g/0?offset=${CONNECTIONS + 1}&wait_ms=60000`);
  const metrics = async () => await (await ask(`${url}/metrics`)).text();
  // The request for the metrics itself is the other one.
  while (!/^ayder_http_requests_in_flight [2-9]/m.test(await metrics())) await Bun.sleep(5);
  const code = server.stop();
  expect((await waiting).status).toBe(200);
  await Promise.all(followers.map(({ ended }) => ended));
  expect(await code).toBe(0);
  expect(server.log()).not.toContain("level=error");
});
