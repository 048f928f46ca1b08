/** The scenarios in Node. `client.test.ts` bundles and starts this file, with the address as argument. */
import { createClient } from "../../../src/client/index.ts";
import { SCENARIOS } from "../../client/scenarios.ts";

const [, , url = ""] = process.argv;
console.log(`node ${process.version}`);
for (const [title, run] of Object.entries(SCENARIOS)) {
  const name = `node-${title.replaceAll(/[^a-z]+/g, "-")}`;
  await run(createClient({ url, token: "dev" }), name, url);
  console.log(`ok ${title}`);
}
