/** The scenarios in a page. `browser.test.ts` bundles this file and calls the global it defines. */
import { createClient } from "../../../src/client/index.ts";
import { SCENARIOS } from "../../client/scenarios.ts";

declare global {
  var runScenario: (title: string, url: string) => Promise<void>;
}

globalThis.runScenario = async (title, url) => {
  const scenario = SCENARIOS[title];
  if (scenario === undefined) throw new Error(`there is no scenario ${title}`);
  const name = `browser-${title.replaceAll(/[^a-z]+/g, "-")}`;
  await scenario(createClient({ url, token: "dev" }), name, url);
};
