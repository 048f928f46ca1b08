/** Queues and schedules in a real Chromium against a real server. */
import { afterEach, expect, test } from "bun:test";
import { click, field, onStage, PATIENCE_MS, rowWith, show } from "../tools/console/stage.ts";

onStage("console: queues", {}, (stage) => {
  afterEach(() => {
    expect(stage().browser.offences).toEqual([]);
  });

  test(
    "a queue shows its dead letters and moves them back; schedules are taken back",
    async () => {
      const { page, api } = stage();
      await api.ask("POST /broker/topics", { name: "jobs", partitions: 1 });
      await api.ask("PUT /broker/queues/mail", { topic: "jobs" });
      await api.ask("POST /broker/topics/jobs/produce", "poison");
      const received = await api.ask("POST /broker/queues/mail/receive");
      const { messages } = received as { messages: { receipt: string }[] };
      const receipts = messages.map(({ receipt }) => receipt);
      await api.ask("POST /broker/queues/mail/reject", { receipts, reason: "no such customer" });
      const cron = { cron: "0 9 * * *", topic: "jobs", value: "x" };
      await api.ask("PUT /broker/schedules/nine", cron);
      await show(stage(), "#/queues");
      await rowWith(page, "mail").getByText("jobs").waitFor();
      await rowWith(page, "nine").getByText("0 9 * * * UTC").waitFor();
      await click(page, "mail");
      await page.getByText("no such customer").waitFor();
      await page.getByText("poison").waitFor();
      await click(page, "Move back");
      await page.getByText("Moved 1 dead letters back").first().waitFor();
      expect(await api.ask("GET /broker/queues/mail")).toMatchObject({ dead: 0, ready: 1 });
      await click(rowWith(page, "nine"), "Delete…");
      await field(page, "Type the name to confirm").fill("nine");
      await page.getByRole("button", { name: "Delete", exact: true }).click();
      await page.getByText("Nothing is scheduled.").waitFor();
      await api.ask("DELETE /broker/topics/jobs");
    },
    PATIENCE_MS,
  );
});
