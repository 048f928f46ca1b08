/** Links of the console to the manual, followed in a real Chromium against a real server. */
import { expect, test } from "bun:test";
import { onStage, PATIENCE_MS, show } from "../tools/console/stage.ts";

/** Pages of the console, each with its page of the manual. */
const MANUAL = [
  ["#/topics", "topics"],
  ["#/topics/sales", "consume"],
  ["#/topics/sales/produce", "produce"],
  ["#/topics/sales/partitions", "topics"],
  ["#/topics/sales/groups", "groups"],
  ["#/topics/sales/settings", "topics"],
  ["#/groups", "groups"],
  ["#/groups/sales/billing", "groups"],
  ["#/streams", "durable-streams"],
  ["#/streams/none", "durable-streams"],
  ["#/keys", "kv"],
  ["#/keys/config", "kv"],
  ["#/keys/config/new", "kv"],
  ["#/query", "stream-processing"],
  ["#/cluster", "cluster"],
  ["#/metrics", "monitoring"],
] as const;

onStage("manual", {}, (stage) => {
  test(
    "each page links to the page of the manual that explains it",
    async () => {
      const { page, url } = stage();
      for (const [hash, name] of MANUAL) {
        await show(stage(), hash);
        await page.getByRole("heading", { level: 1 }).waitFor();
        const help = page.getByRole("link", { name: "Help: opens the manual in a new tab" });
        const href = (await help.getAttribute("href")) ?? "";
        expect([hash, href]).toEqual([hash, `${url}/docs/${name}`]);
        expect((await fetch(href)).status).toBe(200);
      }
      const tab = stage().browser.context.waitForEvent("page");
      await page.getByRole("link", { name: "Manual", exact: true }).click();
      const manual = await tab;
      await manual.getByRole("heading", { level: 1 }).waitFor();
      expect(manual.url()).toBe(`${url}/docs`);
      await manual.close();
    },
    PATIENCE_MS,
  );
});
