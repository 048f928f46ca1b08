/**
 * The black-box suite against a real process on a real disk: the source, or the binary that
 * `AYDER_BINARY` names. The binary also with threads that serve HTTP.
 */
import { afterAll, beforeAll, describe } from "bun:test";
import { register } from "../conformance/suite.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

const THREADS = process.env["AYDER_BINARY"] === undefined ? ["0"] : ["0", "2"];

describe.each(THREADS)("RF_WORKERS=%s", (workers) => {
  const directory = temporaryDirectory();
  let server: Server | undefined;

  beforeAll(async () => {
    server = await startServer({
      dataDir: directory.path,
      env: {
        RF_BEARER_TOKENS: "dev,reader@read,writer@write=orders.*",
        RF_LOG_LEVEL: "error",
        RF_WORKERS: workers,
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
});
