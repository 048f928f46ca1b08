/**
 * The floors: a bare Bun.serve that answers a body as it came (`POST /echo`), one that does so when
 * the body is in a file that was synced, all that came meanwhile at once (`POST /synced`), and a
 * constant (`GET`). Prints its port.
 */
import { closeSync, fdatasync, fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const FILE_BYTES = 64 * 1024 * 1024;
const directory = mkdtempSync(join(tmpdir(), "ayder-floor-"));
const file = openSync(join(directory, "log"), "w+");
writeSync(file, new Uint8Array(FILE_BYTES));
fsyncSync(file);
rmSync(directory, { recursive: true });
process.on("exit", () => closeSync(file));

type Waiting = { readonly body: Uint8Array; readonly resolve: (response: Response) => void };
let waiting: Waiting[] = [];
let syncing = false;
let position = 0;

/** Group commit in its shortest form: no checksums, no index, no recovery, nobody else to ask. */
function sync(): void {
  const group = waiting;
  waiting = [];
  syncing = group.length > 0;
  if (!syncing) return;
  const bytes = Buffer.concat(group.map(({ body }) => body));
  if (position + bytes.length > FILE_BYTES) position = 0;
  position += writeSync(file, bytes, 0, bytes.length, position);
  fdatasync(file, (error) => {
    if (error) throw error;
    sync();
    for (const { body, resolve } of group) resolve(new Response(body as Uint8Array<ArrayBuffer>));
  });
}

const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  development: false,
  async fetch(request) {
    if (request.method === "GET") return new Response('{"value":"aGVsbG8=","cas":1}');
    const body = await request.bytes();
    if (!request.url.endsWith("/synced")) return new Response(body);
    return new Promise<Response>((resolve) => {
      waiting.push({ body, resolve });
      if (syncing) return;
      syncing = true;
      setImmediate(sync);
    });
  },
});
console.log(`listening on http://127.0.0.1:${server.port}`);
