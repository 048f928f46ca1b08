/**
 * `bun test/tools/console/screenshots.ts DIR` stores screenshots of each page in both themes and three
 * widths, with data and a light load.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { CommandLine } from "../arguments.ts";
import { startNodes, untilReady } from "../process/nodes.ts";
import { startServer, temporaryDirectory } from "../process/server.ts";
import { openBrowser, signIn } from "./chromium.ts";
import { Api, seed } from "./seed.ts";

const LINE = new CommandLine(
  "usage: bun test/tools/console/screenshots.ts [DIRECTORY] [PAGE,PAGE]",
);
const [target = "screenshots", pages] = LINE.read({}, 2).positionals;
mkdirSync(target, { recursive: true });
const directory = temporaryDirectory();
const server = await startServer({ dataDir: directory.path });
await seed(server.url);
const api = new Api(server.url);
let loading = true;
const load = (async () => {
  for (let i = 0; loading; i++) {
    await api.ask("POST /broker/topics/sales/produce?partition=2", `{"amount":${i},"region":"eu"}`);
    await api.ask("GET /broker/consume/sales/billing/2?limit=10");
    await Bun.sleep(20 + 60 * Math.random());
  }
})();

const open = (hash: string) => async (page: Page) => {
  await page.goto(`${server.url}/ui${hash}`);
};
const SHOTS: Readonly<Record<string, (page: Page) => Promise<void>>> = {
  topics: open("#/topics"),
  messages: open("#/topics/sales/messages?partition=3"),
  message: async (page) => {
    await page
      .getByRole("button", { name: /^Message/ })
      .first()
      .click();
  },
  hex: async (page) => {
    await open("#/topics/telemetry.raw/messages?partition=0")(page);
    await page
      .getByRole("button", { name: /^Message/ })
      .first()
      .click();
  },
  search: async (page) => {
    await open("#/topics/sales/messages?partition=all&search=A-11")(page);
  },
  produce: open("#/topics/sales/produce"),
  partitions: open("#/topics/sales/partitions"),
  settings: open("#/topics/sales/settings"),
  groups: open("#/groups"),
  group: open("#/groups/sales/billing"),
  seek: async (page) => {
    await page.getByRole("button", { name: "Seek…" }).first().click();
  },
  spaces: open("#/keys"),
  keys: open("#/keys/config"),
  key: open("#/keys/config/limits%2Feu"),
  query: async (page) => {
    await open("#/query")(page);
    await page.getByLabel("Example").selectOption("group and sum");
    await page.getByRole("button", { name: "Run" }).click();
    await page.getByText("3 aggregates").first().waitFor();
  },
  cluster: open("#/cluster"),
  metrics: open("#/metrics"),
  shortcuts: async (page) => {
    await page.keyboard.press("?");
  },
};
const only = pages?.split(",");

for (const theme of ["light", "dark"] as const) {
  for (const width of [1600, 1000, 380]) {
    if (width === 1000 && theme === "dark") continue;
    const height = width === 380 ? 800 : 900;
    const { page, offences, close } = await openBrowser(server.url, { theme, width, height });
    await page.goto(`${server.url}/ui`);
    await page.screenshot({ path: join(target, `${theme}-${width}-signin.png`) });
    await signIn(page, server.url);
    await Bun.sleep(6000);
    for (const [name, show] of Object.entries(SHOTS)) {
      if (only !== undefined && !only.includes(name)) continue;
      await show(page);
      await Bun.sleep(1300);
      await page.screenshot({ path: join(target, `${theme}-${width}-${name}.png`) });
    }
    if (offences.length > 0) console.log(offences);
    await close();
  }
}
loading = false;
await load;
await server.stop();

const nodes = startNodes(directory.path);
await untilReady(nodes.urls);
nodes.children[2]?.kill();
await Bun.sleep(4000);
for (const [theme, width] of [
  ["light", 1600],
  ["dark", 380],
] as const) {
  const url = nodes.urls[0] ?? "";
  const { page, close } = await openBrowser(url, { theme, width });
  await signIn(page, url, "#/cluster");
  await Bun.sleep(1500);
  await page.screenshot({ path: join(target, `${theme}-${width}-nodes.png`) });
  await close();
}
for (const child of nodes.children) child.kill();
await Promise.all(nodes.children.map(({ exited }) => exited));
directory.remove();
