/** Untrusted names, keys and values are shown as text: they run nothing and change no markup. */
import { expect, test } from "bun:test";
import { field, onStage, PATIENCE_MS, type Stage, show } from "../tools/console/stage.ts";

const ATTACKS = [
  "<img src=x onerror=alert(1)>",
  "<script>alert(2)</script>",
  "<svg/onload=alert(3)>",
  '"><iframe src="javascript:alert(4)"></iframe>',
  "<style>*{display:none}</style>",
  "javascript:alert(5)",
  "</textarea></pre><b id=own>bold</b>",
  "{{constructor.constructor('alert(6)')()}}",
  "\u202egnp.exe\u202c",
  '{"__proto__":{"polluted":true},"constructor":"<img src=x onerror=alert(7)>"}',
];

async function harmless({ page, browser }: Stage): Promise<void> {
  expect(browser.offences).toEqual([]);
  expect(await page.locator("#own, iframe, main img, main script, main style").count()).toBe(0);
  expect(await page.evaluate<boolean>("'polluted' in {}")).toBe(false);
}

onStage("hostile input", {}, (stage) => {
  test(
    "in values and keys of messages",
    async () => {
      const { page, api } = stage();
      for (const attack of ATTACKS) {
        const path = `/broker/topics/users/produce?partition=0&key=${encodeURIComponent(attack)}`;
        await api.ask(`POST ${path}`, attack);
      }
      await show(stage(), "#/topics/users/messages?partition=0");
      await page.getByText("12 messages from offset 0").waitFor();
      for (const [i, attack] of ATTACKS.entries()) {
        await page.getByRole("button", { name: `Message ${i + 2}`, exact: true }).click();
        const detail = page.getByRole("region", { name: `Message ${i + 2}` });
        await field(detail, "Show value as").selectOption("text");
        expect(await detail.locator("pre").last().textContent()).toBe(attack);
        expect(await detail.locator("pre").first().textContent()).not.toBe("");
      }
      await harmless(stage());
    },
    PATIENCE_MS,
  );

  test(
    "in keys and values of the store",
    async () => {
      const { page, api } = stage();
      for (const attack of ATTACKS) {
        await api.ask(`POST /kv/hostile/${encodeURIComponent(attack)}`, attack);
      }
      await show(stage(), "#/keys/hostile");
      for (const attack of ATTACKS) {
        await show(stage(), "#/keys/hostile");
        await page.getByRole("link", { name: attack, exact: true }).click();
        await page.getByText(/^Revision/).waitFor();
        expect(await page.getByRole("heading", { level: 1 }).textContent()).toBe(attack);
        expect(await field(page, "New value").inputValue()).toBe(attack);
        await harmless(stage());
      }
    },
    PATIENCE_MS,
  );

  test(
    "in the rows and errors of a query, and in the address",
    async () => {
      const { page, api } = stage();
      const row = JSON.stringify(Object.fromEntries(ATTACKS.map((attack) => [attack, attack])));
      await api.ask("POST /broker/topics/rows/produce?partition=0", row);
      await show(stage(), "#/query");
      await field(page, "Request").fill(
        '{"source":{"topic":"rows","partition":0,"offset":0},"transform":{"emit_rows":5}}',
      );
      await page.getByRole("button", { name: "Run" }).click();
      await page.getByRole("columnheader", { name: ATTACKS[0] ?? "" }).waitFor();
      await harmless(stage());
      for (const attack of ATTACKS) {
        const escaped = encodeURIComponent(attack);
        for (const hash of [
          `#/topics/${escaped}`,
          `#/topics/users/messages?partition=${escaped}&search=${escaped}&format=${escaped}`,
          `#/groups/users/${escaped}`,
          `#/keys/${escaped}/${escaped}`,
          `#/${escaped}?filter=${escaped}`,
        ]) {
          await show(stage(), hash);
          await page.getByRole("heading", { level: 1 }).waitFor();
        }
        await harmless(stage());
      }
    },
    PATIENCE_MS,
  );
});
