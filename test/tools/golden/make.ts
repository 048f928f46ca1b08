/**
 * `AYDER_BINARY=… bun test/tools/golden/make.ts VERSION`: writes a data directory with the server of
 * a release, and what that server says about it, into `test/golden/VERSION`. The server is killed, so
 * that a start has a checkpoint, a journal behind it and an end that was never closed.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { CommandLine } from "../arguments.ts";
import { SMALL_FILES } from "../backup/sample.ts";
import { Client } from "../crash/client.ts";
import { startServer, temporaryDirectory } from "../process/server.ts";
import { pack } from "./archive.ts";
import { read, write } from "./facts.ts";

const LINE = new CommandLine("usage: AYDER_BINARY=PATH bun test/tools/golden/make.ts VERSION");
const [version = LINE.refused("the version is missing")] = LINE.read({}, 1).positionals;
if (process.env["AYDER_BINARY"] === undefined) LINE.refused("AYDER_BINARY is not set");
const place = join(import.meta.dir, "../../golden", version);
mkdirSync(place, { recursive: true });
const directory = temporaryDirectory();
const server = await startServer({ dataDir: directory.path, env: SMALL_FILES });
const client = new Client(server.url);
await write(client);
await Bun.write(join(place, "facts.json"), `${JSON.stringify(await read(client), null, 2)}\n`);
await server.kill();
const files = await pack(directory.path, join(place, "data.tar.gz"));
directory.remove();
console.log(`${place}: ${files} files`);
