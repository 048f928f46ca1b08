/**
 * The black-box suite against a real process on a real disk: the source, or the binary that
 * `AYDER_BINARY` names. With `AYDER_DEDICATED_WORKER=1`, consensus has a thread of its own there.
 */
import { afterAll, beforeAll } from "bun:test";
import { register } from "../conformance/suite.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

const directory = temporaryDirectory();
let server: Server | undefined;

beforeAll(async () => {
  server = await startServer({
    dataDir: directory.path,
    env: {
      RF_BEARER_TOKENS: "dev,reader@read,writer@write=orders.*",
      RF_LOG_LEVEL: "error",
      RF_HA_DEDICATED_WORKER: process.env["AYDER_DEDICATED_WORKER"] ?? "0",
    },
    args: ["--host", "127.0.0.1"],
  });
});
afterAll(async () => {
  await server?.stop();
  directory.remove();
});

register(() => ({
  url: server?.url ?? "",
  token: "dev",
  reader: "reader",
  ordersWriter: "writer",
}));
