import { expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { descriptorLimit, openDescriptors, planDescriptors } from "../../src/env/descriptors.ts";

test("descriptors are shared out within the limit, and never so that nothing works", () => {
  expect(planDescriptors(120, 1)).toEqual({
    limit: 120,
    reserve: 8,
    segmentFiles: 18,
    connections: 54,
  });
  expect(planDescriptors(1024, 1)).toEqual({
    limit: 1024,
    reserve: 8,
    segmentFiles: 244,
    connections: 732,
  });
  expect(planDescriptors(1024, 2).connections).toBe(366);
  expect(planDescriptors(20, 1)).toMatchObject({ segmentFiles: 8, connections: 8 });
  expect(planDescriptors(Number.MAX_SAFE_INTEGER, 1)).toMatchObject({
    segmentFiles: 256,
    connections: 50_000,
  });
  for (let limit = 80; limit < 3_000; limit++) {
    const { reserve, segmentFiles, connections } = planDescriptors(limit, 1);
    expect(reserve + segmentFiles + connections).toBeLessThanOrEqual(limit - 16);
  }
});

test("the limit and the number of open descriptors are those of the process", () => {
  expect(descriptorLimit()).toBeGreaterThan(16);
  const before = openDescriptors() ?? 0;
  const opened = Array.from({ length: 10 }, () => fs.openSync("/dev/null", "r"));
  expect(openDescriptors()).toBe(before + 10);
  for (const each of opened) fs.closeSync(each);
});

// The limit holds for a process, so this needs one of its own.
const CHILD = `
import * as fs from "node:fs";
import { BunDisk } from "${join(import.meta.dir, "../../src/env/bun-disk.ts")}";
import { DescriptorReserve } from "${join(import.meta.dir, "../../src/env/descriptor-reserve.ts")}";
import { ResourceShortage } from "${join(import.meta.dir, "../../src/env/disk.ts")}";
const reserve = new DescriptorReserve(4);
const disk = BunDisk.withReserve(process.argv[1], reserve);
await disk.writeWhole("small", new Uint8Array([1, 2, 3]));
const taken = [];
try { for (;;) taken.push(fs.openSync("/dev/null", "r")); } catch {}
const files = [];
for (let i = 0; i < 3; i++) files.push(await disk.open("f" + i, "create"));
await disk.writeWhole("small", new Uint8Array([4, 5]));
const whole = await disk.readWhole("small");
const names = await disk.list("");
await disk.syncDirectory("");
files.push(await disk.open("f3", "create"));
const error = await disk.open("f4", "create").catch((cause) => cause);
const listed = await disk.list("").catch((cause) => cause);
const read = await disk.readWhole("small").catch((cause) => cause);
const held = reserve.held;
for (const each of taken) fs.closeSync(each);
await disk.space();
await disk.open("f4", "create");
console.log(JSON.stringify({
  whole: [...whole], names, held, after: reserve.held,
  shortages: [error, listed, read].map((each) => each instanceof ResourceShortage),
}));
`;

test("the reserve opens files when nothing else is left, and is refilled", async () => {
  const root = fs.mkdtempSync(join(tmpdir(), "ayder-reserve-"));
  try {
    const command = `ulimit -n 64; exec "${process.execPath}" -e '${CHILD.replaceAll("'", `'"'"'`)}' "${root}"`;
    const child = Bun.spawn(["sh", "-c", command], { stdout: "pipe", stderr: "inherit" });
    const text = await new Response(child.stdout).text();
    expect(await child.exited).toBe(0);
    expect(JSON.parse(text)).toEqual({
      whole: [4, 5],
      names: ["f0", "f1", "f2", "small"],
      held: 0,
      after: 4,
      shortages: [true, true, true],
    });
  } finally {
    fs.rmSync(root, { recursive: true, force: true });
  }
});
