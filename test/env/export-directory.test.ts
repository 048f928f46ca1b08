// Goal: a file of an export is removed with what killed processes left of it, and nothing else is.
// Method: a real directory.
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openExportStore } from "../../src/env/export-store.ts";
import { temporaryDirectory } from "../tools/process/server.ts";

const directory = temporaryDirectory();
afterAll(() => directory.remove());
const NAME = "topic=t/date=2026-01-31/partition=0/0-20.parquet";

test("a file is removed with its partial ones, and others stay", async () => {
  const root = join(directory.path, "a");
  const store = openExportStore(root, { stallMs: 1_000, exportDir: directory.path });
  await store.remove(NAME);
  expect(existsSync(root)).toBe(false);
  const target = await store.create(NAME);
  await target.write(new Uint8Array(3));
  await target.finish();
  const below = join(root, NAME, "..");
  for (const name of [".0-20.parquet.x.partial", ".0-21.parquet.x.partial", "0-21.parquet"]) {
    writeFileSync(join(below, name), "x");
  }
  await store.remove(NAME);
  await store.remove(NAME);
  expect(readdirSync(below).sort()).toEqual([".0-21.parquet.x.partial", "0-21.parquet"]);
});

test("nothing is removed outside of the export directory", async () => {
  const allowed = join(directory.path, "allowed");
  const outside = join(directory.path, "outside");
  for (const each of [allowed, outside]) mkdirSync(each);
  writeFileSync(join(outside, "f"), "x");
  symlinkSync(outside, join(allowed, "link"));
  const store = openExportStore(join(allowed, "link"), { stallMs: 1_000, exportDir: allowed });
  for (const name of ["f", "../../outside/f"]) {
    expect(await store.remove(name).catch(String)).toContain("is not below");
  }
  expect(existsSync(join(outside, "f"))).toBe(true);
});
