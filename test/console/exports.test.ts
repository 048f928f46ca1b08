/** Exports in a real Chromium against a real server. */
import { afterEach, expect, test } from "bun:test";
import { click, field, onStage, PATIENCE_MS, rowWith, show } from "../tools/console/stage.ts";

onStage("console: exports", {}, (stage) => {
  afterEach(() => {
    expect(stage().browser.offences).toEqual([]);
  });

  test(
    "an export shows its progress, is paused, resumed, flushed and deleted",
    async () => {
      const { page, api } = stage();
      await api.ask("POST /broker/topics", { name: "lake", partitions: 1 });
      await api.ask("PUT /broker/exports/out", { topic: "lake", url: "s3://nowhere/x" });
      await show(stage(), "#/exports");
      await rowWith(page, "out").getByText("s3://nowhere/x").waitFor();
      await click(page, "out");
      await page.getByText("s3://nowhere/x, a file every").waitFor();
      await click(page, "Pause");
      await page.getByText("The export is paused").first().waitFor();
      await rowWith(page, "out").getByText("paused").waitFor();
      expect(await api.ask("GET /broker/exports/out")).toMatchObject({ state: "paused" });
      await click(page, "out");
      await click(page, "Resume");
      await page.getByText("The export goes on").first().waitFor();
      await rowWith(page, "out").getByText("running").waitFor();
      await click(page, "out");
      await click(page, "Flush");
      await page.getByText("Files of everything are on their way").first().waitFor();
      await click(page, "out");
      await click(page, "Delete…");
      await field(page, "Type the name to confirm").fill("out");
      await page.getByRole("button", { name: "Delete", exact: true }).click();
      await page.getByText("No exports.").waitFor();
      await api.ask("DELETE /broker/topics/lake");
    },
    PATIENCE_MS,
  );
});
