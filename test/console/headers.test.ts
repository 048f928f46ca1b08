/** Headers of records in the console, in a real Chromium against a real server. */
import { afterEach, expect, test } from "bun:test";
import { click, field, onStage, PATIENCE_MS, rowWith, show } from "../tools/console/stage.ts";

onStage("headers", {}, (stage) => {
  afterEach(() => {
    expect(stage().browser.offences).toEqual([]);
  });
  const flow = (name: string, body: () => Promise<void>) => test(name, body, PATIENCE_MS);

  flow("messages are shown from a time on", async () => {
    const { page } = stage();
    await show(stage(), "#/topics/users/messages?partition=0");
    await field(page, "From time").fill("2001-01-01T00:00:00");
    await page
      .getByText(/^100 messages from offset 0,|^\d+ messages from offset 0,/)
      .first()
      .waitFor();
    await field(page, "From time").fill("2101-01-01T00:00:00");
    await page.getByText("No messages from this offset on.").waitFor();
  });

  flow("headers are written, shown with the message, and searched", async () => {
    const { page } = stage();
    await show(stage(), "#/topics/users/produce");
    await field(page, "Headers").fill("order-id=7781\ncity=Köln");
    await field(page, "Value").fill("with headers");
    await click(page, "Produce");
    await page.getByRole("link", { name: "Show it" }).click();
    await page
      .getByRole("button", { name: /^Message/ })
      .first()
      .click();
    const detail = page.getByRole("region", { name: /^Message \d/ });
    await detail.getByRole("heading", { name: "Headers" }).waitFor();
    await detail.getByText("Köln", { exact: true }).waitFor();
    await detail.getByText("order-id", { exact: true }).waitFor();
    await page.keyboard.press("Escape");
    await field(page, "Search").fill("7781");
    await click(page, "Search");
    await rowWith(page, "with headers").waitFor();
  });
});
