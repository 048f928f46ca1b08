/** `bun lint.ts openapi.json`: one line for each finding of Redocly's recommended rules. */
import { createConfig, lintFromString } from "@redocly/openapi-core";

const [path = ""] = Bun.argv.slice(2);
const source = await Bun.file(path).text();
const config = await createConfig({ extends: ["recommended-strict"] });
const problems = await lintFromString({ source, absoluteRef: path, config });
for (const { ruleId, message, location } of problems) {
  process.stdout.write(`${ruleId} at ${location[0]?.pointer}: ${message}\n`);
}
process.exitCode = problems.length === 0 ? 0 : 1;
