/** Producers of a topic in a real Chromium against a real server. */
import { afterEach, expect, test } from "bun:test";
import { click, field, onStage, PATIENCE_MS, rowWith, show } from "../tools/console/stage.ts";

/** An id is any text of 1 to 128 bytes, also one that means something in HTML. */
const ID = `<b>till 7</b> & "more"`;

onStage("console: producers", {}, (stage) => {
  afterEach(() => {
    expect(stage().browser.offences).toEqual([]);
  });

  test(
    "the last write of each producer is shown, and a producer is forgotten",
    async () => {
      const { page, api } = stage();
      await api.ask("POST /broker/topics", { name: "tills", partitions: 2 });
      await show(stage(), "#/topics/tills/producers");
      await page.getByText("No producer has numbered its writes.").waitFor();
      for (const seq of [0, 1, 2]) await write(3, seq);
      const cells = rowWith(page, ID).locator("td");
      await cells.first().waitFor();
      expect((await cells.allTextContents()).slice(0, 4)).toEqual(["1", "3", "2", "2"]);
      await click(rowWith(page, ID), "Forget…");
      await field(page, "Type the name to confirm").fill(ID);
      await page.getByRole("button", { name: "Delete", exact: true }).click();
      await page.getByText("No producer has numbered its writes.").waitFor();
      expect(await api.ask("GET /broker/topics/tills/producers")).toMatchObject({ total: 0 });
      await api.ask("DELETE /broker/topics/tills");

      async function write(epoch: number, number: number): Promise<void> {
        const headers = {
          authorization: "Bearer dev",
          "producer-id": ID,
          "producer-epoch": String(epoch),
          "producer-seq": String(number),
        };
        const url = `${stage().url}/broker/topics/tills/produce?partition=1`;
        const answer = await fetch(url, { method: "POST", headers, body: "x" });
        expect(answer.status).toBe(200);
      }
    },
    PATIENCE_MS,
  );
});
