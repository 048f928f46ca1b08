/** The console of a follower, and the cluster page, on three real nodes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Browser, hasChromium, openBrowser, signIn } from "../tools/console/chromium.ts";
import { click, copiedLine, field, PATIENCE_MS, rowWith, run } from "../tools/console/stage.ts";
import { IDS, type Nodes, startNodes, untilReady } from "../tools/process/nodes.ts";
import { temporaryDirectory } from "../tools/process/server.ts";

type Membership = { membership: { leader_id: string } };

async function leaderOf(url: string): Promise<string> {
  const headers = { authorization: "Bearer dev" };
  const answer = await fetch(`${url}/ha/membership`, { headers });
  return ((await answer.json()) as Membership).membership.leader_id;
}

if (hasChromium()) {
  describe("three nodes", () => {
    const directory = temporaryDirectory();
    let nodes: Nodes = { urls: [], children: [] };
    let browser: Browser | undefined;

    beforeAll(async () => {
      nodes = startNodes(directory.path);
      await untilReady(nodes.urls);
    }, PATIENCE_MS);
    afterAll(async () => {
      await browser?.close();
      for (const child of nodes.children) child.kill("SIGTERM");
      await Promise.all(nodes.children.map(({ exited }) => exited));
      directory.remove();
    }, PATIENCE_MS);

    test(
      "a follower serves reads and links to the leader for writes; its curl line follows redirects",
      async () => {
        const leader = await leaderOf(nodes.urls[0] ?? "");
        const follower = IDS.findIndex((id) => id !== leader);
        const url = nodes.urls[follower] ?? "";
        browser = await openBrowser(url);
        const { page, offences } = browser;
        await signIn(page, url, "#/keys/config/color");
        await page.getByText("This key does not exist yet").waitFor();
        await page.getByText("follower, 3 nodes").waitFor();
        await field(page, "New value").fill("blue");
        await click(page, "Save");
        await page.getByText("This node is a follower; only the leader accepts writes").waitFor();
        const link = page.getByRole("link", { name: `Open the console of ${leader}, the leader` });
        const leaderUrl = nodes.urls[IDS.indexOf(leader)] ?? "";
        expect(await link.getAttribute("href")).toBe(`${leaderUrl}/ui#/keys/config/color`);

        const line = await copiedLine(page);
        expect(JSON.parse(await run(line))).toMatchObject({ ok: true, cas: 1 });
        await click(page, "Reload");
        await page.getByText("Revision 1 · ").waitFor();
        expect(offences).toEqual([]);
        await link.click();
        await page.waitForURL(`${leaderUrl}/ui#/keys/config/color`);
        expect(await page.evaluate<string>("JSON.stringify(sessionStorage)")).toBe("{}");
        await browser.close();
        browser = undefined;
      },
      PATIENCE_MS,
    );

    test(
      "the page shows the leader; leadership is transferred, a node removed and added",
      async () => {
        const url = nodes.urls[0] ?? "";
        const leader = await leaderOf(url);
        const leaderUrl = nodes.urls[IDS.indexOf(leader)] ?? "";
        browser = await openBrowser(leaderUrl);
        const { page, offences } = browser;
        await signIn(page, leaderUrl, "#/cluster");
        await page.getByText(`${leader} leads`).waitFor();
        await page.getByText("3 of 3 vote").waitFor();
        const map = page.getByRole("img", { name: /^Map of the cluster/ });
        expect(await map.getAttribute("aria-label")).toContain(`${leader} leader`);
        expect(await map.locator(".node").count()).toBe(3);

        const other = IDS.find((id) => id !== leader) ?? "";
        await click(rowWith(page, other), "Remove…");
        await field(page, "Type the name to confirm").fill(other);
        await click(page.getByRole("dialog"), "Delete");
        await page.getByText("2 of 2 vote").waitFor();

        const next = IDS.find((id) => id !== leader && id !== other) ?? "";
        await click(rowWith(page, next), "Make leader…");
        await click(page.getByRole("dialog"), "Do it");
        await page.getByText(`${next} leads`).waitFor();
        await click(page, "Add a node…");
        await field(page, "Name").fill("node9");
        await field(page, "Raft address").fill("127.0.0.1:1");
        await click(page.getByRole("dialog"), "Add");
        await page.getByRole("link", { name: `Open the console of ${next}, the leader` }).waitFor();
        expect(offences).toEqual([]);
      },
      PATIENCE_MS,
    );
  });
}
