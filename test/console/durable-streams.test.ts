/** Durable streams in a real Chromium against a real server. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { hasChromium, openBrowser, signIn } from "../tools/console/chromium.ts";
import { putStream } from "../tools/console/seed.ts";
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
import { StreamClient } from "../tools/durable/stream-client.ts";
import { type Server, startServer, temporaryDirectory } from "../tools/process/server.ts";

const JSON_TYPE = "application/json";
const ATTACK = "<img src=x onerror=alert(1)></pre><b id=own>bold</b>";

onStage("console: streams", {}, (stage) => {
  afterEach(() => {
    expect(stage().browser.offences).toEqual([]);
  });
  const flow = (name: string, body: () => Promise<void>) => test(name, body, PATIENCE_MS);
  const streams = () => new StreamClient(stage().url);
  const seen = (text: string | RegExp) => stage().page.getByText(text).first().waitFor();

  flow("streams are listed, searched by their prefix, and created", async () => {
    const { page } = stage();
    await show(stage(), "#/streams");
    await rowWith(page, "chat/42").getByText("application/json").waitFor();
    await field(page, "Streams that begin with").fill("ra");
    await rowWith(page, "chat/42").waitFor({ state: "detached" });
    await rowWith(page, "raw").getByText("3 B").waitFor();
    await page.getByText("1 of 2 streams").waitFor();
    await page.reload();
    expect(await field(page, "Streams that begin with").inputValue()).toBe("ra");
    await click(page, "New stream");
    await field(page, "Path").fill("notes/ä b");
    await field(page, "Content type").fill("text/plain");
    await field(page, "Time to live, s").fill("3600");
    await field(page, "First content").fill("first ");
    await click(page, "Create");
    await page.getByRole("heading", { name: "notes/ä b" }).waitFor();
    await seen("1 h after the last use");
    await seen("6 B; this is the end");
    expect((await streams().get("notes/%C3%A4%20b")).text).toBe("first ");
  });

  flow("a stream of JSON is read, appended to, followed, closed and forked", async () => {
    const { page } = stage();
    await show(stage(), "#/streams/chat%2F42");
    await seen("2 records; this is the end");
    await rowWith(page, "12345678901234567890").waitFor();
    await page.getByRole("button", { name: "Record 1", exact: true }).click();
    await page.getByRole("dialog", { name: "Record 1" }).getByText('"Hello"').waitFor();
    await page.keyboard.press("Escape");
    await click(page, "Follow");
    await seen("Waiting for records…");
    const headers = { "producer-id": ATTACK, "producer-epoch": "7", "producer-seq": "0" };
    await streams().post("chat/42", { type: JSON_TYPE, body: '["live",1.0]', headers });
    await seen("2 records; following");
    await rowWith(page, '"live"').waitFor();
    await field(page, "Value type").selectOption("json");
    await field(page, "Value").fill('{"n": }');
    await click(page, "Append");
    await seen("This is not JSON");
    await field(page, "Value").fill('{"n": 1}');
    await click(page, "Append");
    await seen("Appended; the end is");
    await seen("3 records; following");
    await rowWith(page, ATTACK).getByText("7", { exact: true }).waitFor();
    await click(page, "Close…");
    await click(page, "Close the stream");
    await seen("3 records; the stream is closed");
    await page.getByRole("definition").getByText("closed", { exact: true }).waitFor();
    expect((await streams().get("chat/42")).headers.get("stream-closed")).toBe("true");
    await click(page, "Fork…");
    await field(page, "Path of the fork").fill("chat/43");
    expect(await copiedLine(page, page.getByRole("dialog"))).toContain(
      "-H 'Stream-Forked-From: /v1/stream/chat/42'",
    );
    await click(page, "Fork");
    await page.getByRole("heading", { name: "chat/43" }).waitFor();
    await page.getByRole("link", { name: "chat/42" }).waitFor();
    await seen("5 records; this is the end");
  });

  flow("text and bytes are shown as they are, and the last append closes", async () => {
    const { page } = stage();
    await show(stage(), "#/streams/raw");
    await page.getByText("00000000  00 ff 41").waitFor();
    await putStream(stage().url, "text", "text/plain; charset=utf-8", "a\n\n b\n");
    await show(stage(), "#/streams/text");
    await seen("6 B; this is the end");
    expect(await page.locator("pre.value").first().textContent()).toBe("a\n\n b\n");
    await click(page, "Follow");
    await seen("0 B; following");
    await field(page, "Value").fill(ATTACK);
    await field(page, "Close the stream with it").check();
    await click(page, "Append");
    await seen("; the stream is closed");
    expect(await page.locator("pre.value").first().textContent()).toBe(ATTACK);
    expect(await page.locator("#own, main img").count()).toBe(0);
  });

  flow("a copied line reads the same, and a deletion asks for the path", async () => {
    const { page } = stage();
    await putStream(stage().url, "gone", "text/plain", "x");
    await show(stage(), "#/streams/gone");
    await seen("1 B; this is the end");
    const line = await copiedLine(page, page.locator("main > div > header"));
    expect(JSON.parse(await run(line))).toMatchObject({ ok: true });
    await click(page, "Delete…");
    await field(page, "Type the name to confirm").fill("gone");
    await page.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByRole("heading", { name: "Streams" }).waitFor();
    expect((await streams().head("gone")).status).toBe(404);
    await show(stage(), "#/streams/gone");
    await page
      .getByText(/Stream .*gone.* does not exist|no such stream/i)
      .first()
      .waitFor();
  });

  flow("streams are reached and opened by keyboard", async () => {
    const { page } = stage();
    await show(stage(), "#/topics");
    await rowWith(page, "users").waitFor();
    for (const key of ["g", "s"]) await page.keyboard.press(key);
    await page.getByRole("heading", { name: "Streams" }).waitFor();
    await rowWith(page, "raw").waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("raw");
    await rowWith(page, "chat/43").waitFor({ state: "detached" });
    for (const key of ["Escape", "j", "Enter"]) await page.keyboard.press(key);
    await seen("3 B; this is the end");
    await page.keyboard.press("p");
    await page.getByRole("button", { name: "Stop following" }).waitFor();
  });

  flow("hostile paths and types are text", async () => {
    const { page, url } = stage();
    await putStream(url, encodeURIComponent(ATTACK).replaceAll("%2F", "~"), "text/plain", ATTACK);
    const path = ATTACK.replaceAll("/", "~");
    await show(stage(), "#/streams");
    await page.getByRole("link", { name: path, exact: true }).click();
    expect(await page.getByRole("heading", { level: 1 }).textContent()).toBe(path);
    await seen("; this is the end");
    expect(await page.locator("#own, main img").count()).toBe(0);
  });
});

if (hasChromium()) {
  describe("a token for some paths", () => {
    const directory = temporaryDirectory();
    let server: Server;
    beforeAll(async () => {
      const env = { RF_BEARER_TOKENS: "dev,reader@read=/room/*", RF_HTTP_ADDR: "127.0.0.1" };
      server = await startServer({ dataDir: directory.path, env });
      for (const path of ["a", "room/1", "room/2", "z"]) {
        await putStream(server.url, path, "text/plain", "x");
      }
    }, PATIENCE_MS);
    afterAll(async () => {
      await server.stop();
      directory.remove();
    }, PATIENCE_MS);

    test(
      "sees its streams only, and is told what it may not do",
      async () => {
        const browser = await openBrowser(server.url);
        const { page } = browser;
        await signIn(page, server.url, "#/streams", "reader");
        await rowWith(page, "room/1").waitFor();
        expect(await rowWith(page, /^(a|z)text/).count()).toBe(0);
        await page.getByRole("link", { name: "room/2" }).click();
        await page.getByText("1 B; this is the end").first().waitFor();
        await field(page, "Value").fill("y");
        await click(page, "Append");
        await page.getByText(/scope/).first().waitFor();
        expect((await new StreamClient(server.url).get("room/2")).text).toBe("x");
        await browser.close();
      },
      PATIENCE_MS,
    );
  });
}
