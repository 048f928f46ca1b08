/**
 * `bun run dev:cluster`: three nodes on 7001/8001 … 7003/8003 in one terminal, from source, in a
 * temporary directory that goes when they end (Ctrl-C).
 */
import { join } from "node:path";
import { cleanEnvironment, serverCommand, temporaryDirectory } from "./server.ts";

const COLORS = [36, 33, 35];
const ids = ["node1", "node2", "node3"];
const nodes = ids.map((id, i) => `${id}:127.0.0.1:${7001 + i}:${100 - 40 * i}:${8001 + i}`);
const directory = temporaryDirectory();
const secret = crypto.randomUUID() + crypto.randomUUID();

const children = ids.map((id, i) => {
  const child = Bun.spawn([...serverCommand(), "--data-dir", join(directory.path, id)], {
    env: cleanEnvironment({
      RF_HA_ENABLED: "1",
      RF_HA_NODE_ID: id,
      RF_HA_NODES: nodes.join(","),
      RF_HA_SECRET: secret,
      RF_HA_BOOTSTRAP_LEADER: i === 0 ? "1" : "0",
      // Most HTTP libraries drop the token when they follow a redirect to another host.
      RF_HA_FOLLOWER_WRITES: "forward",
    }),
    stdout: "pipe",
    stderr: "pipe",
    stdin: "ignore",
  });
  for (const stream of [child.stdout, child.stderr]) void show(id, COLORS[i] ?? 0, stream);
  return child;
});

async function show(id: string, color: number, stream: ReadableStream<Uint8Array>): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) console.log(`\u001b[${color}m${id}\u001b[0m ${line}`);
  }
}

process.on("SIGINT", () => {
  for (const child of children) child.kill("SIGTERM");
});
await Promise.all(children.map((child) => child.exited));
directory.remove();
