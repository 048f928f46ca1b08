/** Accessibility: keyboard only, screen readers, both themes, narrow screens. */
import { expect, test } from "bun:test";
import axe from "axe-core";
import type { Page } from "playwright-core";
import { field, onStage, PATIENCE_MS, rowWith, type Stage, show } from "../tools/console/stage.ts";

type Violation = {
  id: string;
  help: string;
  nodes: { target: string[]; failureSummary: string }[];
};

/** Rules of WCAG 2.2 A and AA, and the best practices of axe. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const found = await page.evaluate<Violation[]>(
    "axe.run(document, { runOnly: ['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa','best-practice'] }).then((result) => result.violations)",
  );
  return found.map(
    ({ id, nodes }) => `${id}: ${nodes[0]?.target.join(" ")} ${nodes[0]?.failureSummary}`,
  );
}

const PLACES: readonly (readonly [hash: string, there: string])[] = [
  ["#/topics", "telemetry.raw"],
  ["#/topics/sales/messages?partition=0", "100 messages from"],
  ["#/topics/sales/produce", "Idempotency key"],
  ["#/topics/sales/partitions", "Delete…"],
  ["#/topics/sales/groups", "search:indexer"],
  ["#/topics/sales/settings", "this topic"],
  ["#/topics/users/messages?search=nothing", "Nothing found."],
  ["#/groups", "search:indexer"],
  ["#/groups/sales/billing", "Seek…"],
  ["#/queues", "No queues."],
  ["#/exports", "No exports."],
  ["#/streams", "chat/42"],
  ["#/streams/chat%2F42", "Hello"],
  ["#/keys", "sessions"],
  ["#/keys/config", "limits/eu"],
  ["#/keys/config/limits%2Feu", "Revision 2"],
  ["#/query", "revenue"],
  ["#/cluster", "node1 leads"],
  ["#/metrics", "of disk space free"],
];

async function scrollsSideways(page: Page): Promise<boolean> {
  return await page.evaluate<boolean>(
    "document.documentElement.scrollWidth > document.documentElement.clientWidth",
  );
}

async function checkAll(stage: Stage): Promise<void> {
  const { page, browser } = stage;
  for (const [hash, there] of PLACES) {
    await show(stage, hash);
    await page.getByRole("main").getByText(there).first().waitFor();
    expect(await violations(page), hash).toEqual([]);
    expect(await scrollsSideways(page), hash).toBe(false);
  }
  await show(stage, "#/topics/telemetry.raw/messages?partition=0");
  await page.getByRole("button", { name: "Message 0", exact: true }).click();
  await page.getByRole("heading", { name: "Offset 0" }).waitFor();
  expect(await violations(page), "message").toEqual([]);
  await page.getByRole("button", { name: "Keyboard shortcuts" }).click();
  await page.getByRole("dialog").waitFor();
  expect(await violations(page), "keys").toEqual([]);
  await page.keyboard.press("Escape");
  await show(stage, "#/query");
  await page.getByRole("button", { name: "Run" }).click();
  await page.getByRole("heading", { name: "Rows" }).waitFor();
  expect(await violations(page), "result").toEqual([]);
  await page.getByRole("button", { name: "Sign out" }).click();
  await field(page, "Token").waitFor();
  expect(await violations(page), "sign in").toEqual([]);
  expect(browser.offences).toEqual([]);
}

for (const look of [
  { theme: "light", width: 1600 },
  { theme: "dark", width: 380 },
] as const) {
  onStage(`${look.theme}, ${look.width} wide`, look, (stage) => {
    test(
      "no page violates a rule of axe or is wider than the screen",
      async () => {
        await checkAll(stage());
      },
      2 * PATIENCE_MS,
    );
  });
}

onStage("keyboard", {}, (stage) => {
  const focused = () => stage().page.evaluate<string>("document.activeElement?.textContent ?? ''");
  const press = async (...keys: string[]) => {
    for (const key of keys) await stage().page.keyboard.press(key);
  };

  test(
    "a topic is found, a message opened, closed and another one written, without a mouse",
    async () => {
      const { page, browser } = stage();
      await show(stage(), "#/topics");
      await rowWith(page, "users").waitFor();
      await press("/");
      await page.keyboard.type("user");
      await rowWith(page, "sales").waitFor({ state: "detached" });
      await press("Escape", "j");
      expect(await focused()).toBe("users");
      await press("Enter");
      await page.getByText("2 messages from offset 0").waitFor();
      await press("j", "j", "k", "Enter");
      await page.getByRole("heading", { name: "Offset 1" }).waitFor();
      expect(await focused()).toBe("Offset 1");
      await press("Escape");
      await page.getByRole("heading", { name: "Offset 1" }).waitFor({ state: "detached" });
      expect(await focused()).toBe("1");
      await press("g", "q");
      await page.getByRole("heading", { name: "Query" }).waitFor();
      expect(await focused()).toBe("Query");
      await press("g", "t");
      await page.getByRole("heading", { name: "Topics" }).waitFor();
      await press("?");
      await page.getByRole("dialog", { name: "Keys" }).waitFor();
      await press("Escape");
      await page.getByRole("dialog").waitFor({ state: "detached" });
      await show(stage(), "#/topics/users/produce");
      await field(page, "Value").focus();
      await page.keyboard.type("typed: j k ? / g");
      await press("Control+Enter");
      await page
        .getByText(/Stored at offset \d+ of partition 0/)
        .first()
        .waitFor();
      expect(browser.offences).toEqual([]);
    },
    PATIENCE_MS,
  );

  test(
    "the first Tab stop skips the navigation, and every stop is visible",
    async () => {
      const { page } = stage();
      await show(stage(), "#/topics");
      await rowWith(page, "users").waitFor();
      await press("Tab");
      expect(await focused()).toBe("Skip to content");
      await press("Enter");
      expect(await page.evaluate<string>("document.activeElement.id")).toBe("main");
      for (let i = 0; i < 6; i++) {
        await press("Tab");
        const outline = await page.evaluate<string>(
          "getComputedStyle(document.activeElement).outlineStyle",
        );
        expect(outline).not.toBe("none");
      }
    },
    PATIENCE_MS,
  );

  test(
    "single-letter shortcuts can be disabled",
    async () => {
      const { page } = stage();
      await show(stage(), "#/topics");
      await press("?");
      await field(page, "Enable single-letter shortcuts").uncheck();
      await press("Escape", "g", "m");
      await Bun.sleep(300);
      expect(page.url()).toContain("#/topics");
      await page.getByRole("button", { name: "Keyboard shortcuts" }).click();
      await field(page, "Enable single-letter shortcuts").check();
      await press("Escape", "g", "m");
      await page.getByRole("heading", { name: "Metrics" }).waitFor();
    },
    PATIENCE_MS,
  );

  test(
    "the chosen theme persists",
    async () => {
      const { page } = stage();
      await show(stage(), "#/topics");
      const back = () => page.evaluate<string>("getComputedStyle(document.body).backgroundColor");
      const light = await back();
      await page.getByRole("button", { name: "Theme: auto" }).click();
      expect(await back()).toBe(light);
      await page.getByRole("button", { name: "Theme: light" }).click();
      expect(await back()).not.toBe(light);
      await page.reload();
      await page.getByRole("button", { name: "Theme: dark" }).waitFor();
      expect(await back()).not.toBe(light);
    },
    PATIENCE_MS,
  );
});
