/** The console in a real Chromium against a real server: the flows of users. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { hasChromium, openBrowser, signIn } from "../tools/console/chromium.ts";
import { Api } from "../tools/console/seed.ts";
import {
  click,
  copiedLine,
  field,
  onStage,
  PATIENCE_MS,
  rowWith,
  run,
  show,
} from "../tools/console/stage.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

type Page = { messages: { value: string; value_b64?: string; offset: number }[] };
const MAX = "9223372036854775807";

onStage("console", {}, (stage) => {
  afterEach(() => {
    expect(stage().browser.offences).toEqual([]);
  });
  const flow = (name: string, body: () => Promise<void>) => test(name, body, PATIENCE_MS);

  flow("topics are listed with their size, and filtered", async () => {
    const { page } = stage();
    await show(stage(), "#/topics");
    await rowWith(page, "sales").getByText("1,200").waitFor();
    await field(page, "Filter by name").fill("TELE");
    await rowWith(page, "sales").waitFor({ state: "detached" });
    await rowWith(page, "telemetry.raw").waitFor();
    await page.reload();
    expect(await field(page, "Filter by name").inputValue()).toBe("TELE");
  });

  flow("a topic is created, written to and read", async () => {
    const { page, api } = stage();
    await show(stage(), "#/topics");
    await click(page, "New topic");
    await field(page, "Name").fill("orders");
    await field(page, "Partitions").fill("3");
    await click(page, "Create");
    await page.getByRole("heading", { name: "orders" }).waitFor();
    await page.getByText("Partition 0 is empty").waitFor();
    await page.getByRole("link", { name: "Produce", exact: true }).click();
    await field(page, "Partition").selectOption("1");
    await field(page, "Key").fill("k 1");
    await field(page, "Value").fill('{"n": 1}');
    await click(page, "Produce");
    await page.getByText("Stored at offset 0 of partition 1; on disk").first().waitFor();
    const stored = (await api.ask("GET /broker/consume/orders/g/1?offset=0")) as Page;
    expect(stored.messages).toMatchObject([{ offset: 0, key: "k 1", value: '{"n": 1}' }]);
    await page.getByRole("link", { name: "Show it" }).click();
    await rowWith(page, '{"n": 1}').getByText("k 1").waitFor();
  });

  flow("lines are stored as many messages, hex as bytes, a repeated key once", async () => {
    const { page, api } = stage();
    await show(stage(), "#/topics/orders/produce");
    await field(page, "Partition").selectOption("2");
    await field(page, "Value type").selectOption("lines");
    await field(page, "Value").fill('one\n"two"\n');
    await click(page, "Produce");
    await page.getByText("Stored at offsets 0 to 1 of partition 2").first().waitFor();
    await field(page, "Value type").selectOption("hex");
    await field(page, "Value").fill("ff 00");
    await field(page, "Idempotency key").fill("once");
    await click(page, "Produce");
    await page.getByText("Stored at offset 2 of partition 2").first().waitFor();
    await click(page, "Produce");
    await page.getByText("Already stored, at offset 2 of partition 2").first().waitFor();
    await field(page, "Value").fill("xy");
    await click(page, "Produce");
    await page.getByText("pairs of hex digits").waitFor();
    const { messages } = (await api.ask("GET /broker/consume/orders/g/2?offset=0")) as Page;
    expect(messages.map(({ value, value_b64: base64 }) => value ?? base64)).toEqual([
      "one",
      "two",
      "/wA=",
    ]);
  });

  flow(
    "messages are browsed page by page, newest first, and the address keeps the position",
    async () => {
      const { page } = stage();
      await show(stage(), "#/topics/sales/messages?partition=3");
      const first = page.getByRole("button", { name: /^Message/ }).first();
      await page.getByText("100 messages from offset 380").waitFor();
      expect(await first.textContent()).toBe("479");
      await click(page, "Older");
      await page.getByText("100 messages from offset 280").waitFor();
      await click(page, "Newer");
      await page.getByText("100 messages from offset 380").waitFor();
      await click(page, "Oldest");
      await page.getByText("100 messages from offset 0").waitFor();
      await field(page, "Offset").fill("450");
      await click(page, "Go");
      await page.getByText("30 messages from offset 450").waitFor();
      await page.reload();
      await page.getByText("30 messages from offset 450").waitFor();
      await page.getByRole("navigation", { name: "Topic" }).getByText("Groups").click();
      await page.getByRole("link", { name: "search:indexer" }).waitFor();
      await page.goBack();
      await page.getByText("30 messages from offset 450").waitFor();
    },
  );

  flow(
    "the newest messages are shown with one click, also if a page holds only a few",
    async () => {
      const { page, api } = stage();
      const write = (value: string) =>
        api.ask("POST /broker/topics/telemetry.raw/produce?partition=1", value);
      for (let i = 0; i < 6; i++) await write(`${i}${"x".repeat(1_000_000)}`);
      await show(stage(), "#/topics/telemetry.raw/messages?partition=1");
      await page.getByRole("button", { name: "Message 5", exact: true }).waitFor();
      await write("small");
      await click(page, "Newest");
      await page.getByRole("button", { name: "Message 6", exact: true }).click();
      await page.getByRole("heading", { name: "Offset 6" }).waitFor();
      await page.getByRole("button", { name: "Message 5", exact: true }).click();
      await page.getByText("The first 64 KiB of 977 KiB.").waitFor();
    },
  );

  flow("a search finds text in all partitions", async () => {
    const { page } = stage();
    await show(stage(), "#/topics/sales/messages?partition=all");
    await field(page, "Search").fill("a-119");
    await field(page, "Search").press("Enter");
    await page
      .getByText("4 messages found, newest first; searched 1,200 of 1,200")
      .first()
      .waitFor();
    expect(await page.getByRole("button", { name: "Message 119" }).count()).toBe(4);
    await field(page, "Search").fill("no such thing");
    await click(page, "Search");
    await page.getByText("Nothing found.").waitFor();
  });

  flow("a partition is followed as it grows, until Stop", async () => {
    const { page, api } = stage();
    await show(stage(), "#/topics/users/messages?partition=0");
    await page.getByText("2 messages from offset 0").waitFor();
    await click(page, "Follow");
    await page.getByText("Waiting for the next message…").waitFor();
    for (const name of ["Cy", "Di"]) {
      await api.ask("POST /broker/topics/users/produce?partition=0", `{"name":"${name}"}`);
    }
    await rowWith(page, '{"name":"Di"}').waitFor();
    await page.getByText("Following partition 0: 2 messages received").waitFor();
    await click(page, "Stop following");
    await api.ask("POST /broker/topics/users/produce?partition=0", '{"name":"Ed"}');
    await Bun.sleep(500);
    expect(await rowWith(page, '{"name":"Ed"}').count()).toBe(0);
    await click(page, "Newest");
    await rowWith(page, '{"name":"Ed"}').waitFor();
  });

  flow("a message is shown by its type: JSON with all digits, hex for bytes", async () => {
    const { page, api } = stage();
    await api.ask("POST /broker/topics/users/produce?partition=0", `{"id":${MAX},"n":1.10}`);
    await show(stage(), "#/topics/users/messages?partition=0");
    await page
      .getByRole("button", { name: /^Message/ })
      .first()
      .click();
    const detail = page.getByRole("region", { name: /^Message \d/ });
    await detail.getByText(`"id": ${MAX},`).waitFor();
    await detail.getByText('"n": 1.10').waitFor();
    await field(detail, "Show value as").selectOption("hex");
    await detail.getByText("00000000  7b 22 69 64").waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await detail.waitFor({ state: "detached" });
    await show(stage(), "#/topics/telemetry.raw/messages?partition=0");
    await page.getByRole("button", { name: "Message 0", exact: true }).click();
    await detail.getByText("This is not UTF-8, so it is shown as hex.").waitFor();
    await detail.getByText("00000000  00 25 4a 6f 94 b9 de 03").waitFor();
  });

  flow("the lag of a group is shown, and a seek moves it forward and back", async () => {
    const { page, api } = stage();
    await show(stage(), "#/groups");
    await rowWith(page, "billing").getByText("850", { exact: true }).waitFor();
    await page.getByRole("link", { name: "billing" }).click();
    await page.getByText("4 partitions · lag 850").waitFor();
    const third = rowWith(page, "360").first();
    await click(third, "Seek…");
    await page.getByText("moves the group forwards or back").waitFor();
    await field(page, "Next offset to read").fill("5");
    await click(page, "Move");
    await page.getByText("4 partitions · lag 855").waitFor();
    await click(rowWith(page, "355").first(), "Seek…");
    await field(page, "Next offset to read").fill("300");
    await click(page, "Move");
    await page.getByText("4 partitions · lag 560").waitFor();
    await click(rowWith(page, "300"), "Seek…");
    await field(page, "Next offset to read").fill("9999");
    await click(page, "Move");
    await page.getByText("The offset must be at most 360, the end").waitFor();
    await click(page, "Cancel");
    const described = await api.ask("GET /broker/topics/sales");
    expect(described).toMatchObject({
      groups: expect.arrayContaining([
        { group: "billing", partition: 2, committed_offset: 300, lag: 60 },
      ]),
    });
  });

  flow("a key is created, changed, protected against concurrent changes, and deleted", async () => {
    const { page, api } = stage();
    await show(stage(), "#/keys");
    await rowWith(page, "sessions").waitFor();
    await click(page, "New key");
    await field(page, "Namespace").fill("app");
    await field(page, "Key").fill("a/b c");
    await click(page, "Continue");
    await page.getByText("This key does not exist yet").waitFor();
    await field(page, "New value").fill("first");
    await click(page, "Save");
    await page.getByText("Revision 1 · 5 B · no expiry").waitFor();
    await field(page, "New value").fill("second");
    await click(page, "Save");
    await page.getByText("Revision 2 · 6 B").waitFor();
    await api.ask("POST /kv/app/a%2Fb%20c", "by somebody else");
    await field(page, "New value").fill("third");
    await click(page, "Save");
    await page.getByText("Somebody else changed this key: it is at revision 3").waitFor();
    expect(await api.ask("GET /kv/app/a%2Fb%20c")).toMatchObject({ cas: 3 });
    await click(page, "Reload");
    await page.getByText("Revision 3 · ").waitFor();
    expect(await field(page, "New value").inputValue()).toBe("by somebody else");
    await click(page, "Delete…");
    const confirm = page.getByRole("button", { name: "Delete", exact: true });
    expect(await confirm.isDisabled()).toBe(true);
    await field(page, "Type the name to confirm").fill("a/b c");
    await confirm.click();
    await page.getByText("No keys here.").waitFor();
    await expect(api.ask("GET /kv/app/a%2Fb%20c")).rejects.toThrow("404");
    await click(page, "Delete this namespace…");
    await field(page, "Type the name to confirm").fill("app");
    await confirm.click();
    await rowWith(page, "sessions").waitFor();
    expect(await rowWith(page, "app").count()).toBe(0);
    expect(JSON.stringify(await api.ask("GET /kv"))).not.toContain('"app"');
  });

  flow("a binary value is shown and saved as bytes", async () => {
    const { page, api } = stage();
    await show(stage(), "#/keys/sessions/a1");
    await page.getByText("00000000  ff 00 01 02").waitFor();
    await field(page, "New value").fill("ff fe");
    await field(page, "Time to live, ms").fill("3600000");
    await click(page, "Save");
    await page.getByText(/Revision 2 · 2 B · expires in (1 h|59 min)/).waitFor();
    expect(await api.ask("GET /kv/sessions/a1")).toEqual({ value: "//4=", cas: 2 });
    expect(Number(await field(page, "Time to live, ms").inputValue())).toBeGreaterThan(3_000_000);
    await api.ask("POST /kv/sessions/crlf", "a\r\nb");
    await show(stage(), "#/keys/sessions/crlf");
    await page.getByText("Revision 3 · ").waitFor();
    expect(await field(page, "New value").inputValue()).toBe("61 0d 0a 62");
    await click(page, "Save");
    await page.getByText("Revision 4 · ").waitFor();
    expect(await api.ask("GET /kv/sessions/crlf")).toEqual({ value: btoa("a\r\nb"), cas: 4 });
  });

  flow("the result of a query is a table, and errors are named", async () => {
    const { page, api } = stage();
    await api.ask("POST /broker/topics/big/produce?partition=0", `{"id":${MAX},"a":{"b":"x"}}`);
    await show(stage(), "#/query");
    await field(page, "Example").selectOption("group and sum");
    await click(page, "Run");
    await rowWith(page, "region=eu").getByText("40", { exact: true }).waitFor();
    const source = '{"source":{"topic":"big","partition":0,"offset":0},';
    await field(page, "Request").fill(`${source}\n"transform":{"emit_rows":5}`);
    await page.getByText("line 2, column 28").waitFor();
    await field(page, "Request").fill(`${source}"transform":{"emit_rows":5}}`);
    await page.keyboard.press("Control+Enter");
    await rowWith(page, MAX).getByText("x").waitFor();
    await page.getByRole("columnheader", { name: "a.b" }).waitFor();
    await field(page, "Request").fill(`${source}"filter":[{"field":"a","op":"nope","value":1}]}`);
    await click(page, "Run");
    await page.getByRole("alert").filter({ hasText: "op" }).first().waitFor();
    await page.getByRole("button", { name: "revenue" }).click();
    await page.getByRole("dialog").getByText("region=eu").waitFor();
    await page.keyboard.press("Escape");
  });

  flow("a group is deleted in all topics by typing its name", async () => {
    const { page, api } = stage();
    const commit = (topic: string) =>
      api.ask("POST /broker/commit", `{"topic":"${topic}","group":"old","partition":0,"offset":0}`);
    await commit("sales");
    await commit("users");
    await show(stage(), "#/groups/sales/old");
    await page.getByRole("heading", { name: "old" }).waitFor();
    await click(page, "Delete this group…");
    await page.getByText("The offsets that it has committed in all topics").waitFor();
    const confirm = page.getByRole("button", { name: "Delete", exact: true });
    await field(page, "Type the name to confirm").fill("ol");
    expect(await confirm.isDisabled()).toBe(true);
    await field(page, "Type the name to confirm").fill("old");
    await confirm.click();
    await page.getByRole("heading", { name: "Groups" }).waitFor();
    await expect(api.ask("GET /broker/groups/old")).rejects.toThrow("group_not_found");
    await rowWith(page, "search:indexer").first().waitFor();
    expect(await rowWith(page, "old").count()).toBe(0);
  });

  flow("retention is set, and a topic deleted by typing its name", async () => {
    const { page, api } = stage();
    await show(stage(), "#/topics/big/settings");
    await page.getByText("Messages are retained until they are deleted.").waitFor();
    await field(page, "Maximum age, ms").fill("172800000");
    await click(page, "Set");
    await rowWith(page, "this topic").getByText("2 d").waitFor();
    await rowWith(page, "this topic").getByText("inherits").waitFor();
    await click(rowWith(page, "this topic"), "Inherit");
    await page.getByText("Messages are retained until they are deleted.").waitFor();
    expect(JSON.stringify(await api.ask("GET /broker/retention"))).not.toContain('"big"');
    await click(page, "Delete this topic…");
    const confirm = page.getByRole("button", { name: "Delete", exact: true });
    await field(page, "Type the name to confirm").fill("bi");
    expect(await confirm.isDisabled()).toBe(true);
    await field(page, "Type the name to confirm").fill("big");
    await confirm.click();
    await page.getByRole("heading", { name: "Topics" }).waitFor();
    await expect(api.ask("GET /broker/topics/big")).rejects.toThrow("topic_not_found");
  });

  flow("old messages are deleted by offset", async () => {
    const { page, api } = stage();
    await show(stage(), "#/topics/sales/partitions");
    await click(rowWith(page, "480"), "Delete…");
    await field(page, "First offset to retain").fill("100");
    await click(page.getByRole("dialog"), "Delete");
    await page.getByText("Type sales to confirm").waitFor();
    await field(page, "Type the topic’s name to confirm").fill("sales");
    await click(page.getByRole("dialog"), "Delete");
    await rowWith(page, "380").waitFor();
    expect(await api.ask("GET /broker/topics/sales")).toMatchObject({
      partitions: expect.arrayContaining([
        expect.objectContaining({ partition: 3, low_watermark: 100 }),
      ]),
    });
  });

  flow("charts show rates while there is traffic, and pause", async () => {
    const { page, api } = stage();
    await show(stage(), "#/metrics");
    const figure = page.getByRole("figure").filter({ hasText: "Messages written" });
    for (let i = 0; i < 400; i++) {
      await api.ask("POST /broker/topics/users/produce?partition=0", "x");
      if (/messages[1-9]/.test((await figure.locator("dl").textContent()) ?? "")) break;
      await Bun.sleep(100);
    }
    expect(await figure.locator("dl").textContent()).toMatch(/messages\d.*\/s/);
    expect(await figure.locator("path.line").getAttribute("d")).toMatch(/^M/);
    await click(page, "Pause");
    await page.getByRole("button", { name: "Resume" }).waitFor();
    await click(page, "Resume");
  });

  flow("commands copied as curl work in a shell", async () => {
    const { page, api, url } = stage();
    await show(stage(), "#/topics");
    await rowWith(page, "sales").waitFor();
    const list = await copiedLine(page);
    expect(list).toContain('-H "Authorization: Bearer $AYDER_TOKEN"');
    expect(list).not.toContain("dev");
    expect(JSON.parse(await run(list))).toEqual(await api.ask("GET /broker/topics?limit=1000"));

    await show(stage(), "#/topics/orders/produce");
    const value = 'it\'s "quoted" $HOME `id`\n\\ é @file';
    await field(page, "Partition").selectOption("0");
    await field(page, "Key").fill("k'&? %");
    await field(page, "Value").fill(value);
    expect(JSON.parse(await run(await copiedLine(page)))).toMatchObject({ ok: true, offset: 0 });
    await field(page, "Value type").selectOption("hex");
    await field(page, "Value").fill("00 ff 27");
    expect(JSON.parse(await run(await copiedLine(page)))).toMatchObject({ ok: true, offset: 1 });
    const stored = (await api.ask("GET /broker/consume/orders/g/0?offset=0")) as Page;
    expect(stored.messages).toMatchObject([
      { key: "k'&? %", value },
      { key: "k'&? %", value_b64: "AP8n" },
    ]);

    await show(stage(), "#/topics/orders/messages?partition=0&offset=1");
    await page.getByText("1 message from offset 1").waitFor();
    expect(JSON.parse(await run(await copiedLine(page)))).toMatchObject({ count: 1 });
    await show(stage(), "#/keys/config/limits%2Feu");
    await page.getByText("Revision 2").waitFor();
    await field(page, "New value").fill("changed");
    expect(JSON.parse(await run(await copiedLine(page)))).toMatchObject({ ok: true, cas: 4 });
    expect(JSON.parse(await run(await copiedLine(page)))).toMatchObject({ error: "cas_mismatch" });

    await show(stage(), "#/query");
    const query = page.getByRole("form", { name: "Query" });
    await field(page, "Example").selectOption("group and sum");
    expect(JSON.parse(await run(await copiedLine(page, query)))).toMatchObject({ ok: true });

    await show(stage(), "#/groups/sales/billing");
    await click(page.getByRole("row").filter({ hasText: "300" }), "Seek…");
    await field(page, "Next offset to read").fill("310");
    const seek = await copiedLine(page, page.getByRole("dialog"));
    const offsets = [{ topic: "sales", partition: 2, committed_offset: 310 }];
    expect(JSON.parse(await run(seek))).toEqual({ ok: true, group: "billing", offsets });
    await page.keyboard.press("Escape");

    await show(stage(), "#/metrics");
    const metrics = await copiedLine(page);
    expect(metrics).toBe(`curl -sS -H "Authorization: Bearer $AYDER_TOKEN" '${url}/metrics'`);
    expect(await run(metrics)).toContain("ayder_topic_end_offset");
  });
});

if (hasChromium()) {
  describe("the token", () => {
    const directory = temporaryDirectory();
    let server: Server;
    beforeAll(async () => {
      const env = { RF_BEARER_TOKENS: "every,reader@read=orders.*" };
      server = await startServer({ dataDir: directory.path, env, args: ["--host", "127.0.0.1"] });
    }, PATIENCE_MS);
    afterAll(async () => {
      await server.stop();
      directory.remove();
    }, PATIENCE_MS);

    test(
      "is requested, stored in the tab only, and its scopes are checked by the server",
      async () => {
        const { page, context, offences, close } = await openBrowser(server.url);
        const asked: string[] = [];
        page.on("request", (request) => asked.push(request.url()));
        await page.goto(`${server.url}/ui#/keys`);
        await field(page, "Token").fill("wrong");
        await click(page, "Sign in");
        await page.getByText("The server does not accept this token").waitFor();
        await field(page, "Token").fill("reader");
        await click(page, "Sign in");
        await page.getByRole("heading", { name: "Keys" }).waitFor();
        expect(page.url()).toBe(`${server.url}/ui#/keys`);
        expect(await page.evaluate<string>("JSON.stringify(localStorage)")).not.toContain("reader");
        expect(await context.cookies()).toEqual([]);
        expect(asked.filter((url) => /reader|wrong/.test(url))).toEqual([]);
        await page.reload();
        await page.getByRole("heading", { name: "Keys" }).waitFor();
        await page.goto(`${server.url}/ui#/topics`);
        await page.getByText("No topics yet.").waitFor();
        await click(page, "New topic");
        await field(page, "Name").fill("orders.a");
        await click(page, "Create");
        await page.getByText('The token has no "write" scope').waitFor();
        await click(page, "Cancel");
        await click(page, "Sign out");
        await field(page, "Token").waitFor();
        expect(await page.evaluate<string>("JSON.stringify(sessionStorage)")).not.toContain(
          "reader",
        );
        expect(offences).toEqual([]);
        await close();
      },
      PATIENCE_MS,
    );
  });

  test(
    "following continues after a restart of the server",
    async () => {
      const directory = temporaryDirectory();
      const start = (port: number) =>
        startServer({ dataDir: directory.path, args: ["--port", String(port)] });
      let server = await start(0);
      const { url } = server;
      const api = new Api(url);
      await api.ask("POST /broker/topics", { name: "t", partitions: 1 });
      const { page, offences, close } = await openBrowser(url);
      await signIn(page, url, "#/topics/t/messages?follow=1");
      await page.getByText("Waiting for the next message…").waitFor();
      await api.ask("POST /broker/topics/t/produce", "before");
      await rowWith(page, "before").waitFor();
      await server.kill();
      await page.getByText("The server cannot be reached").first().waitFor();
      server = await start(Number(new URL(url).port));
      await api.ask("POST /broker/topics/t/produce", "after");
      await rowWith(page, "after").waitFor();
      await page.getByText("Following partition 0: 2 messages received").waitFor();
      await page.getByText("The server cannot be reached").first().waitFor({ state: "detached" });
      expect(offences).toEqual([]);
      await close();
      await server.stop();
      directory.remove();
    },
    PATIENCE_MS,
  );
}
