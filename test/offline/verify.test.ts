// Goal: whatever bit flips in whatever file of a data directory, `verify` tells; and what a crash or
// a node at work leaves is not called damage. Method: a directory of a real server is copied, a
// random bit of a random file is flipped, and verify says in which file.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { BunDisk } from "../../src/env/bun-disk.ts";
import { SHARD_0 } from "../../src/lib/ids.ts";
import { type Verification, verifyDataDir } from "../../src/offline/verify.ts";
import type { LogIndex, Term } from "../../src/raft/types.ts";
import { identityOf, readIdentity } from "../../src/storage/data-dir.ts";
import { writeMarker } from "../../src/storage/journal/truncated-log.ts";
import { fill, SMALL_FILES } from "../tools/backup/sample.ts";
import { Client } from "../tools/crash/client.ts";
import { ayder } from "../tools/process/ayder.ts";
import { ServerEnded, startServer, temporaryDirectory } from "../tools/process/server.ts";
import { Random } from "../tools/random.ts";

setDefaultTimeout(120_000);
const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const FLIPS_EACH = Number(process.env["FLIPS"] ?? 40);
const REPLAY = `(SEED=${SEED} bun test test/offline/verify.test.ts)`;

const directory = temporaryDirectory();
if (process.env["KEEP"] === undefined) afterAll(directory.remove);
/** Stopped in good order: everything is in its newest checkpoint. */
const stopped = join(directory.path, "stopped");
/** Killed: the journal has what no checkpoint has. */
const killed = join(directory.path, "killed");
const copy = join(directory.path, "copy");

beforeAll(async () => {
  const server = await startServer({ dataDir: stopped, env: SMALL_FILES });
  const client = new Client(server.url);
  await fill(client);
  await client.must("POST", "/admin/compact");
  await client.must("POST", "/broker/topics/t/produce?partition=0", "after the first checkpoint");
  await server.stop();
  const again = await startServer({ dataDir: stopped, env: SMALL_FILES });
  await new Client(again.url).must("POST", "/broker/topics/t/produce?partition=1", "and more");
  await again.stop();
  cpSync(stopped, killed, { recursive: true });
  const dying = await startServer({ dataDir: killed, env: SMALL_FILES });
  await new Client(dying.url).must("POST", "/broker/topics/t/produce?partition=2", "the last");
  await dying.kill();
});

const verify = (path: string, inUse = false): Promise<Verification> =>
  verifyDataDir({
    disk: BunDisk.readOnly(path),
    inUse,
    nextTurn: () => new Promise((resolve) => setImmediate(resolve)),
  });

function filesOf(root: string, below = ""): string[] {
  return readdirSync(join(root, below), { withFileTypes: true }).flatMap((entry) => {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    return entry.isDirectory() ? filesOf(root, path) : [path];
  });
}

function flip(path: string, random: Random, below = Number.MAX_SAFE_INTEGER) {
  const bytes = readFileSync(path);
  const at = random.below(Math.min(bytes.length, below));
  const before = bytes[at] ?? 0;
  bytes[at] = before ^ (1 << random.below(8));
  writeFileSync(path, bytes);
  return {
    at,
    undo: () => {
      bytes[at] = before;
      writeFileSync(path, bytes);
    },
  };
}

/** Kinds of files, and what a flipped bit in one is called at least. */
const KINDS = [
  { name: "FORMAT", is: /^FORMAT$/, kind: "damage" },
  { name: "hard state", is: /hard-state$/, kind: "note" },
  { name: "journal segment", is: /journal\/\d+\.seg$/, kind: "note" },
  { name: "checkpoint", is: /\.ckpt$/, kind: "damage" },
  { name: "partition segment", is: /partitions\/.*\.seg$/, kind: "damage" },
] as const;

describe("a flipped bit is found in", () => {
  for (const { name, is, kind } of KINDS) {
    test(`any ${name} ${REPLAY}`, async () => {
      const random = new Random(SEED);
      cpSync(stopped, copy, { recursive: true });
      const files = filesOf(copy).filter((file) => is.test(file));
      expect(files.length).toBeGreaterThan(0);
      for (let i = 0; i < FLIPS_EACH; i++) {
        const file = files[random.below(files.length)] ?? "";
        const { at, undo } = flip(join(copy, file), random);
        const { findings } = await verify(copy).catch((error: Error) => ({
          // Another version's number is not for this program to judge.
          findings: error.name === "DataDirUnsupported" ? [{ kind: "damage", file }] : [],
        }));
        const told = findings.filter((finding) => file.startsWith(finding.file));
        const what = `${file} at ${at}: ${JSON.stringify(findings)}`;
        expect(told.length, what).toBeGreaterThan(0);
        if (kind === "damage") expect(told[0]?.kind, what).toBe("damage");
        undo();
      }
      expect((await verify(copy)).findings).toEqual([]);
      rmSync(copy, { recursive: true });
    });
  }
});

/** Behind it lies the last append, of which damage looks like a torn write. */
function coveredBytes(path: string): number {
  return readFileSync(path).findLastIndex((byte) => byte !== 0) - 256;
}

test(`a flipped bit in what the journal vouches for is damage ${REPLAY}`, async () => {
  const random = new Random(SEED);
  cpSync(stopped, copy, { recursive: true });
  const files = filesOf(copy).filter(
    (file) => /journal\/\d+\.seg$/.test(file) && coveredBytes(join(copy, file)) > 0,
  );
  expect(files.length).toBeGreaterThan(0);
  for (let i = 0; i < FLIPS_EACH; i++) {
    const path = join(copy, files[random.below(files.length)] ?? "");
    const { at, undo } = flip(path, random, coveredBytes(path));
    const { findings } = await verify(copy);
    const isPadding = findings.some(({ problem }) =>
      problem.includes("after the entry are not zero"),
    );
    const isDamage = findings.some(({ kind }) => kind === "damage");
    expect(isDamage || isPadding, `${path} at ${at}: ${JSON.stringify(findings)}`).toBe(true);
    undo();
  }
  rmSync(copy, { recursive: true });
});

test("what a checkpoint has is damage in the journal still, and no reason not to start", async () => {
  cpSync(stopped, copy, { recursive: true });
  const file = filesOf(copy)
    .filter((each) => /journal\/\d+\.seg$/.test(each))
    .sort()[0];
  const bytes = readFileSync(join(copy, file ?? ""));
  bytes[64 + 48 + 5] = (bytes[64 + 48 + 5] ?? 0) ^ 1;
  writeFileSync(join(copy, file ?? ""), bytes);
  const { findings } = await verify(copy);
  expect(findings).toMatchObject([{ kind: "damage", file, position: 64 }]);
  expect(findings[0]?.advice).toContain("the next start does without");
  const server = await startServer({ dataDir: copy, env: SMALL_FILES });
  await server.stop();
  rmSync(copy, { recursive: true });
});

test(`what verify calls whole starts, and says what was acknowledged ${REPLAY}`, async () => {
  const random = new Random(SEED);
  const outcomes = { whole: 0, damaged: 0 };
  for (let i = 0; i < 12; i++) {
    cpSync(killed, copy, { recursive: true });
    const files = filesOf(copy).filter((file) => /journal\/|hard-state|\.ckpt$/.test(file));
    const file = files[random.below(files.length)] ?? "";
    const { at } = flip(join(copy, file), random);
    const { findings } = await verify(copy);
    const isDamaged = findings.some((finding) => finding.kind === "damage");
    outcomes[isDamaged ? "damaged" : "whole"]++;
    try {
      const server = await startServer({ dataDir: copy, env: SMALL_FILES });
      await server.kill();
    } catch (error) {
      if (!(error instanceof ServerEnded)) throw error;
      expect(isDamaged, `${file} at ${at}: ${error.log}`).toBe(true);
    }
    rmSync(copy, { recursive: true });
  }
  expect(outcomes.whole + outcomes.damaged).toBe(12);
});

describe("what is not damage", () => {
  const files = async () => {
    const { findings } = await verify(copy);
    return findings.map(({ kind, file }) => `${kind} ${file}`);
  };
  test("a directory after a kill is whole", async () => {
    const { findings, files } = await verify(killed);
    expect(findings.filter(({ kind }) => kind === "damage")).toEqual([]);
    expect(files).toBeGreaterThan(8);
  });
  test("a torn end of the journal is a note that says where", async () => {
    cpSync(killed, copy, { recursive: true });
    const server = await startServer({ dataDir: copy, env: SMALL_FILES });
    await server.kill();
    const segments = filesOf(copy).filter((file) => /journal\/\d+\.seg$/.test(file));
    const active = segments
      .filter((file) => readFileSync(join(copy, file)).some((byte) => byte !== 0))
      .sort()
      .at(-1);
    const path = join(copy, active ?? "");
    const bytes = readFileSync(path);
    const end = bytes.findLastIndex((byte) => byte !== 0) + 1;
    bytes.fill(0xa5, end + 64, end + 164);
    writeFileSync(path, bytes);
    const { findings } = await verify(copy);
    expect(findings).toMatchObject([{ kind: "note", file: active }]);
    expect(findings[0]?.problem).toContain("never acknowledged");
    rmSync(copy, { recursive: true });
  });
  test("a damaged index file is a note: it is made anew", async () => {
    cpSync(stopped, copy, { recursive: true });
    const file = filesOf(copy).find((each) => each.endsWith(".idx"));
    expect(file).toBeDefined();
    flip(join(copy, file ?? ""), new Random(SEED));
    expect((await verify(copy)).findings).toMatchObject([{ kind: "note", file }]);
    rmSync(copy, { recursive: true });
  });
  test("what a transfer left is a note, and so is what its peers have to bring back", async () => {
    cpSync(stopped, copy, { recursive: true });
    const incoming = join(copy, "shards/0/incoming");
    mkdirSync(incoming, { recursive: true });
    writeFileSync(join(incoming, "announcement"), "not whole");
    writeFileSync(join(copy, "shards/0/checkpoints/00000000000000000099@1.part"), "begun");
    const disk = new BunDisk(copy);
    const { storageId } = (await readIdentity(disk)) ?? { storageId: "" };
    const marker = { index: 7 as LogIndex, term: 1 as Term };
    await writeMarker(disk, "shards/0/journal", identityOf(storageId, SHARD_0), marker);
    expect(await files()).toEqual([
      "note shards/0/journal/claimed",
      "note shards/0/checkpoints/00000000000000000099@1.part",
      "note shards/0/incoming/announcement",
    ]);
    const claimed = join(copy, "shards/0/journal/claimed");
    const random = new Random(SEED);
    const { undo } = flip(claimed, random);
    expect((await files()).slice(0, 2)).toEqual(Array(2).fill("note shards/0/journal/claimed"));
    undo();
    writeFileSync(claimed, readFileSync(claimed).fill(1));
    expect((await files())[0]).toBe("damage shards/0/journal/claimed");
    rmSync(copy, { recursive: true });
  });
  test("a node at work is never called damaged", async () => {
    const live = join(directory.path, "live");
    const server = await startServer({ dataDir: live, env: SMALL_FILES });
    const client = new Client(server.url);
    await client.must("POST", "/broker/topics", '{"name":"t","partitions":3}');
    let isDone = false;
    const lines = Array.from({ length: 50 }, () => "z".repeat(300)).join("\n");
    let requests = 0;
    const load = (async () => {
      for (; !isDone; requests++) {
        await client.must("POST", "/broker/topics/t/produce-ndjson", lines);
      }
    })();
    // So many that journal segments, checkpoints and partition segments come and go meanwhile.
    for (let looks = 0; looks < 25 || requests < 200; looks++) {
      const { findings } = await verify(live, true);
      expect(findings).toEqual([]);
    }
    isDone = true;
    await load;
    await server.kill();
  });
});

describe("the command", () => {
  test("says what, where and what to do, and exits with 1", async () => {
    cpSync(stopped, copy, { recursive: true });
    const file = filesOf(copy).find((each) => /partitions\/.*\.seg$/.test(each)) ?? "";
    flip(join(copy, file), new Random(SEED));
    const { code, out } = await ayder(["verify", copy]);
    expect(code).toBe(1);
    expect(out).toMatch(/^damage shards\/0\/partitions\/\S+ at byte \d+: .+ advice: .+\n/);
    expect(out).toContain("DAMAGED: 1 place;");
    const json = await ayder(["verify", copy, "--json"]);
    expect(JSON.parse(json.out)).toMatchObject({ ok: false, findings: [{ kind: "damage", file }] });
    rmSync(copy, { recursive: true });
  });
  test("exits with 0 for a whole directory, which it does not change", async () => {
    const before = filesOf(stopped).map((file) => [file, statSync(join(stopped, file)).mtimeMs]);
    expect(await ayder(["verify", stopped])).toMatchObject({ code: 0, err: "" });
    const after = filesOf(stopped).map((file) => [file, statSync(join(stopped, file)).mtimeMs]);
    expect(after).toEqual(before);
  });
  test("names missing files, and tells a half restored directory", async () => {
    cpSync(stopped, copy, { recursive: true });
    for (const pattern of [/partitions\/.*\.seg$/, /hard-state$/, /journal\/\d+\.seg$/]) {
      const file = filesOf(copy).find((each) => pattern.test(each)) ?? "";
      rmSync(join(copy, file));
      const { code, out } = await ayder(["verify", copy]);
      expect(code, out).toBe(1);
    }
    writeFileSync(join(copy, "RESTORING"), "");
    expect((await ayder(["verify", copy])).out).toContain("was not finished");
    rmSync(copy, { recursive: true });
  });
  test("tells a running node, by its process", async () => {
    const live = join(directory.path, "running");
    const server = await startServer({ dataDir: live });
    const { code, out } = await ayder(["verify", live]);
    expect(code).toBe(0);
    expect(out).toContain(`in use by process ${server.pid}`);
    await server.stop();
    expect((await ayder(["verify", live])).out).not.toContain("in use");
  });
  test("exits with 78 for what is none, and 2 without a name", async () => {
    expect((await ayder(["verify", directory.path])).code).toBe(78);
    expect((await ayder(["verify", join(directory.path, "absent")])).code).toBe(78);
    expect((await ayder(["verify"])).code).toBe(2);
    expect(existsSync(join(directory.path, "absent"))).toBe(false);
  });
});
