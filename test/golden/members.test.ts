/**
 * Goal: the members of a cluster of each earlier release go on as a cluster of this version. Method:
 * three directories that a release wrote, of which one lacks the last changes, are opened by this
 * version; each node has everything, a new command is accepted once all nodes are of this version,
 * and all of it is there after another kill.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { unpack } from "../tools/golden/archive.ts";
import { type Facts, read } from "../tools/golden/facts.ts";
import {
  leaderOf,
  MEMBERS,
  type Member,
  type MemberName,
  reserveAddresses,
  startMember,
  untilReady,
} from "../tools/golden/members.ts";
import { ayder } from "../tools/process/ayder.ts";
import { temporaryDirectory } from "../tools/process/server.ts";

setDefaultTimeout(60_000);
const PLACE = import.meta.dir;
const VERSIONS = readdirSync(PLACE, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

const directory = temporaryDirectory();
const running: Member[] = [];
let release = () => {};
beforeAll(async () => {
  release = await reserveAddresses();
});
afterAll(async () => {
  for (const member of running) await member.kill();
  release();
  directory.remove();
});

const start = (place: string, ...names: readonly MemberName[]): Member[] => {
  const started = names.map((name) => startMember(place, name));
  running.push(...started);
  return started;
};

/** A header is a command that the first release does not know. */
const WITH_HEADER = "/broker/topics/t/produce?partition=2&header.city=Oslo";

/** The answer once all members are known to be of this version; before that it is 503. */
async function produceWithHeader({ client }: Member): Promise<unknown> {
  for (;;) {
    const answer = await client.send("POST", WITH_HEADER, "new");
    if (answer?.body["error"] !== "cluster_not_upgraded") return answer;
    await Bun.sleep(50);
  }
}

for (const version of VERSIONS) {
  test(`three members of ${version} go on, one after the other, and have everything`, async () => {
    const expected: Facts = await Bun.file(join(PLACE, version, "members.json")).json();
    const place = join(directory.path, version);
    await unpack(join(PLACE, version, "members.tar.gz"), place);
    for (const name of MEMBERS) {
      const { code, out, err } = await ayder(["verify", join(place, name)]);
      expect({ code, err, intact: out.includes(": intact; ") }).toEqual({
        code: 0,
        err: "",
        intact: true,
      });
    }

    // A majority is enough; one of the two has everything, so it leads.
    const first = start(place, "node1", "node2");
    for (const member of first) {
      await untilReady(member);
      expect(await read(member.client)).toMatchObject(expected);
    }
    const refused = await (await leaderOf(first)).client.send("POST", WITH_HEADER, "new");
    expect(refused).toMatchObject({ status: 503, body: { error: "cluster_not_upgraded" } });

    // The third one lacks the last changes, and joins with the directory that it has.
    const members = [...first, ...start(place, "node3")];
    await untilReady(members[2] as Member);
    expect(await read((members[2] as Member).client)).toMatchObject(expected);
    expect(await produceWithHeader(await leaderOf(members))).toMatchObject({
      status: 200,
      body: { offset: 241, durable: true },
    });
    for (const member of members) await member.kill();

    const again = start(place, ...MEMBERS);
    for (const member of again) {
      await untilReady(member);
      const { partitions } = (await read(member.client)) as { partitions: object[] };
      expect(partitions.slice(0, 2)).toEqual((expected["partitions"] as object[]).slice(0, 2));
      expect(partitions[2]).toMatchObject({ count: 242, last: { offset: 241, value: "new" } });
    }
  });
}
