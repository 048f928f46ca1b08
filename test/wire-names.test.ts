/** The names of the wire stay in `api/`, in the HTTP API and in its clients. */
import { expect, test } from "bun:test";
import { Glob } from "bun";

/** Folders whose objects have camelCase fields; `http/` maps them. */
const INNER = ["lib", "record", "raft", "broker", "kv", "stream", "machine", "storage", "node"];
const ALLOWED = [
  // Writes rows of answers in slices.
  "src/node/streams/answer-rows.ts",
  // Writes the requests of webhooks, which no route answers.
  "src/node/durable/webhooks.ts",
  // Writes the manifests of exports, which readers of a bucket read.
  "src/node/exports/manifest.ts",
];

/** Collects the field names of a schema that no camelCase object can have. */
function collect(schema: unknown, names: Set<string>): void {
  if (typeof schema !== "object" || schema === null) return;
  for (const [name, value] of Object.entries(schema)) {
    if (name === "properties") {
      for (const field of Object.keys(value as object)) if (field.includes("_")) names.add(field);
    }
    collect(value, names);
  }
}

async function wireNames(): Promise<ReadonlySet<string>> {
  const names = new Set<string>();
  for (const file of new Glob("src/api/*.ts").scanSync(".")) {
    const schemas: Record<string, unknown> = await import(`../${file}`);
    for (const schema of Object.values(schemas)) collect(schema, names);
  }
  return names;
}

const fieldsIn = (source: string): string[] =>
  [...source.matchAll(/(?<!["\w])([a-z0-9]+(?:_[a-z0-9]+)+)\??:/g)].map(([, name = ""]) => name);

test("no object of the inner folders has a field with a name of the wire", async () => {
  const names = await wireNames();
  expect(names).toContain("end_offset");
  const leaks: string[] = [];
  for (const folder of INNER) {
    for (const file of new Glob(`src/${folder}/**/*.ts`).scanSync(".")) {
      if (ALLOWED.includes(file)) continue;
      const source = await Bun.file(file).text();
      for (const name of fieldsIn(source)) if (names.has(name)) leaks.push(`${file}: ${name}`);
    }
  }
  expect(leaks).toEqual([]);
});

test("a planted field is found", () => {
  expect(fieldsIn("return { end_offset: 1, ok: true };")).toEqual(["end_offset"]);
  expect(fieldsIn("readonly left_ts_ms?: number;")).toEqual(["left_ts_ms"]);
  expect(fieldsIn('{ "end_offset": 1 }')).toEqual([]);
});
