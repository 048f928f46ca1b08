/**
 * `bun run test:release`: the whole release of HEAD, made twice in two directories, must be the
 * same bytes; its sums hold; its bill of materials obeys the schema of CycloneDX; install.sh takes
 * it from a web server, and what it installs runs.
 */
import { join } from "node:path";
import { ROOT } from "../../src/release/compile.ts";
import { temporaryDirectory } from "../tools/process/server.ts";

const SCHEMA = [
  "@cyclonedx/cyclonedx-library@10.3.0",
  "ajv@8",
  "ajv-formats@3",
  "ajv-formats-draft2019@1",
];
const directory = temporaryDirectory();
const bun = process.execPath;
try {
  const first = await releaseIn("first");
  const second = await releaseIn("a second, elsewhere");
  await Bun.$`diff -r ${first} ${second}`;
  await Bun.$`sha256sum -c --quiet SHA256SUMS`.cwd(first);
  await obeysSchema(join(first, "sbom.cdx.json"));
  await installs(first);
  await Bun.$`file -b ayder-*`.cwd(first);
  console.log("two builds are equal; sums, bill of materials and installer hold");
} finally {
  directory.remove();
}

async function releaseIn(name: string): Promise<string> {
  const tree = join(directory.path, name);
  await Bun.$`git clone -q ${ROOT} ${tree}`;
  await Bun.$`${bun} install --frozen-lockfile`.cwd(tree).quiet();
  await Bun.$`${bun} src/release/release.ts`.cwd(tree);
  return join(tree, "dist/release");
}

async function obeysSchema(sbom: string): Promise<void> {
  const tools = join(directory.path, "tools");
  await Bun.write(join(tools, "package.json"), "{}");
  await Bun.$`${bun} add ${SCHEMA}`.cwd(tools).quiet();
  const { Spec, Validation } = await import(
    join(tools, "node_modules/@cyclonedx/cyclonedx-library/dist.node/index.node.js")
  );
  const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6);
  const text = await Bun.file(sbom).text();
  const wrong = await validator.validate(text);
  if (wrong !== null) throw new Error(`sbom.cdx.json: ${JSON.stringify(wrong, null, 2)}`);
  const planted = await validator.validate(text.replace('"application"', '"no such type"'));
  if (planted === null) throw new Error("the schema accepts a component of no such type");
}

async function installs(release: string): Promise<void> {
  const server = Bun.serve({
    port: 0,
    fetch: (request) => {
      const file = Bun.file(join(release, new URL(request.url).pathname));
      return new Response(file);
    },
  });
  const prefix = join(directory.path, "prefix");
  const base = server.url.origin;
  await Bun.$`sh ${release}/install.sh --prefix ${prefix} --base-url ${base}`;
  await server.stop(true);
  await Bun.$`${prefix}/bin/ayder --version`;
}
