/** One server for all tests of a file. */
import { afterAll, beforeAll } from "bun:test";
import { join } from "node:path";
import { type Server, startServer, temporaryDirectory } from "./server.ts";

/**
 * Starts a server before the first test of the file that calls this, and kills it after the last.
 *
 * @param env settings of the server.
 * @returns the server, which has no address before the first test; and a directory for files of the
 * tests, which is removed at the end. The server has its data in `data` of it.
 */
export function testServer(env: Readonly<Record<string, string>> = {}) {
  const directory = temporaryDirectory();
  let started: Server | null = null;
  beforeAll(async () => {
    started = await startServer({ dataDir: join(directory.path, "data"), env });
  });
  afterAll(async () => {
    await started?.kill();
    directory.remove();
  });
  const server = {
    get url(): string {
      if (started === null) throw new Error("the server starts before the first test");
      return started.url;
    },
  };
  return { directory, server };
}
