/**
 * `AYDER_BINARY=… bun test/tools/golden/make-members.ts VERSION`: writes the data directories of
 * three members with the server of a release, and what it says about them, into
 * `test/golden/VERSION`. The members are killed, one of them before the last changes, so that it has
 * to catch up.
 */
import { join } from "node:path";
import { CommandLine } from "../arguments.ts";
import { fill } from "../backup/sample.ts";
import { temporaryDirectory } from "../process/server.ts";
import { pack } from "./archive.ts";
import { change, read } from "./facts.ts";
import { leaderOf, MEMBERS, reserveAddresses, startMember, untilReady } from "./members.ts";

const LINE = new CommandLine(
  "usage: AYDER_BINARY=PATH bun test/tools/golden/make-members.ts VERSION",
);
const [version = LINE.refused("the version is missing")] = LINE.read({}, 1).positionals;
if (process.env["AYDER_BINARY"] === undefined) LINE.refused("AYDER_BINARY is not set");
const place = join(import.meta.dir, "../../golden", version);
const release = await reserveAddresses();
const directory = temporaryDirectory();
const members = MEMBERS.map((name) =>
  startMember(directory.path, name, { RF_HA_BOOTSTRAP_LEADER: name === "node1" ? "1" : "0" }),
);
for (const member of members) await untilReady(member);
const leader = await leaderOf(members);
await fill(leader.client);
const late = members.findLast((member) => member !== leader);
await late?.kill();
await change(leader.client);
const facts = await read(leader.client);
for (const member of members) await member.kill();
await Bun.write(join(place, "members.json"), `${JSON.stringify(facts, null, 2)}\n`);
const files = await pack(directory.path, join(place, "members.tar.gz"));
directory.remove();
release();
console.log(`${place}: ${files} files, led by ${leader.name}, without the end ${late?.name}`);
