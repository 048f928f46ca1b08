/** Webhooks in a real Chromium against a real server. */
import { afterEach, expect, test } from "bun:test";
import { click, field, onStage, PATIENCE_MS, rowWith, show } from "../tools/console/stage.ts";

onStage("console: webhooks", {}, (stage) => {
  afterEach(() => {
    expect(stage().browser.offences).toEqual([]);
  });

  test(
    "a webhook is tested, paused, purged and deleted, and shows its deliveries",
    async () => {
      const { page, api } = stage();
      await api.ask("POST /broker/topics", { name: "orders", partitions: 1 });
      // The name is not resolved, so each delivery fails.
      const url = "https://nobody.invalid/hook";
      await api.ask("PUT /broker/webhooks/billing", { topic: "orders", url });
      await show(stage(), "#/queues");
      await rowWith(page, "billing").getByText("active").waitFor();
      await click(page, "billing");
      await page.getByText(url).waitFor();
      await page.getByText("No deliveries since this leader leads.").waitFor();
      await click(page, "Test");
      await page
        .getByText(/^The test was answered: /)
        .first()
        .waitFor();
      await rowWith(page, "retry").getByText("test", { exact: true }).waitFor();
      await click(page, "Pause");
      await page.getByText("Paused billing").first().waitFor();
      await rowWith(page, "billing").getByText("paused").waitFor();
      expect(await api.ask("GET /broker/webhooks/billing")).toMatchObject({
        paused: true,
        paused_reason: "requested",
      });
      await click(page, "billing");
      await click(page, "Purge…");
      await field(page, "Type the name to confirm").fill("billing");
      await page.getByRole("button", { name: "Purge", exact: true }).click();
      await page.getByText("Purged billing").first().waitFor();
      await click(page, "billing");
      await click(page, "Delete…");
      await field(page, "Type the name to confirm").fill("billing");
      await page.getByRole("button", { name: "Delete", exact: true }).click();
      await page.getByText(/^No webhooks\./).waitFor();
      await api.ask("DELETE /broker/topics/orders");
    },
    PATIENCE_MS,
  );
});
