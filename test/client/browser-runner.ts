/** The scenarios in a page: bundled by `browser.test.ts`, which calls what this leaves behind. */
import { createClient } from "../../src/client/index.ts";
import { SCENARIOS } from "./scenarios.ts";

declare global {
  var runScenario: (title: string, url: string) => Promise<void>;
}

globalThis.runScenario = async (title, url) => {
  const scenario = SCENARIOS[title];
  if (scenario === undefined) throw new Error(`there is no scenario ${title}`);
  const name = `browser-${title.replaceAll(/[^a-z]+/g, "-")}`;
  await scenario(createClient({ url, token: "dev" }), name, url);
};
