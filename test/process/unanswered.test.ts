/** Writes whose connection ends before the fsync: stored or not as the manual says, and counted. */
import { afterAll, afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { connect } from "node:net";
import { join } from "node:path";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(60_000);
const directory = temporaryDirectory();
let server: Server | null = null;
afterEach(async () => {
  await server?.kill();
  server = null;
});
afterAll(directory.remove);

const headers = { authorization: "Bearer dev" };
const TARGET = "/broker/topics/t/produce?partition=0";
const produce = (framing: string) =>
  `POST ${TARGET} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer dev\r\n${framing}`;
const SIZED = produce("Content-Length: 4\r\n\r\npaid");

/** Sends bytes in one packet. @returns all that comes until the connection ends. */
function exchange(url: string, text: string, halfClose: boolean): Promise<string> {
  return new Promise((resolve) => {
    const { port } = new URL(url);
    const socket = connect({ port: Number(port), host: "127.0.0.1", allowHalfOpen: true });
    let all = "";
    socket.on("data", (bytes) => {
      all += bytes.toString("latin1");
    });
    socket.on("error", () => undefined);
    socket.on("end", () => socket.end());
    socket.on("close", () => resolve(all));
    if (halfClose) socket.end(text);
    else socket.write(text);
  });
}

async function look(url: string) {
  const page = await fetch(`${url}/broker/consume/t/g/0?offset=0&consistency=linearizable`, {
    headers,
  });
  const { count } = (await page.json()) as { count: number };
  const metrics = await (await fetch(`${url}/metrics`)).text();
  const value = (name: string) =>
    Number(new RegExp(`^ayder_http_${name}_total (\\d+)$`, "m").exec(metrics)?.[1]);
  return { count, requests: value("unanswered_requests"), writes: value("unanswered_writes") };
}

for (const [layout, env] of [
  ["the thread of consensus", { RF_HA_DEDICATED_WORKER: "0" }],
  ["a thread of its own", { RF_HA_DEDICATED_WORKER: "1" }],
] as const) {
  test(`HTTP on ${layout}`, async () => {
    const dataDir = join(directory.path, layout.replaceAll(" ", "-"));
    server = await startServer({ dataDir, env });
    const { url } = server;
    const first = await fetch(url + TARGET, { method: "POST", headers, body: "first" });
    expect(first.status).toBe(200);

    // Stored, and not answered.
    expect(await exchange(url, SIZED + SIZED, false)).toBe("");
    // Whether the end of the connection or the fsync is first is not for the test to say.
    const halfClosed = await exchange(url, SIZED, true);
    if (halfClosed !== "") expect(halfClosed).toContain('"offset":2,"partition":0');
    const lost = halfClosed === "" ? 2 : 1;
    let seen = await look(url);
    while (seen.count < 3 || seen.writes < lost) seen = await look(url);
    expect(seen).toEqual({ count: 3, requests: lost, writes: lost });

    // Refused, and not stored.
    const chunks = "Transfer-Encoding: chunked\r\n\r\n4\r\npaid\r\n0\r\n";
    const trailers = await exchange(url, `${produce(chunks)}X-Sum: 1\r\n\r\n`, false);
    expect(trailers).toStartWith("HTTP/1.1 400 Bad Request\r\n");
    expect(await exchange(url, `${produce(chunks)}\r\n${SIZED}`, false)).toBe("");
    expect(await look(url)).toMatchObject({ count: 3, writes: lost });

    // A client that waits for the answer gets it.
    const closing = produce("Connection: close\r\nContent-Length: 4\r\n\r\npaid");
    expect(await exchange(url, closing, false)).toContain('"offset":3');
    expect(await look(url)).toMatchObject({ count: 4, writes: lost });
  });
}
