/** The receivers of the page on webhooks accept what the server sends, and nothing else. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { createClient } from "../../src/client/index.ts";
import { temporaryDirectory } from "../tools/process/server.ts";
import { testServer } from "../tools/process/test-server.ts";

setDefaultTimeout(60_000);

const { server } = testServer({ RF_WEBHOOK_ALLOW: "127.0.0.1" });
const directory = temporaryDirectory();
afterAll(directory.remove);

const page = await Bun.file("src/docs/webhooks.md").text();
const recipe = (language: string): string =>
  new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(page)?.[1] ?? "";

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const probe = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const { port = 0 } = probe;
  await probe.stop(true);
  return port;
}

for (const [language, command] of [
  ["ts", [process.execPath]],
  ["python", ["python3"]],
] as const) {
  test.skipIf(Bun.which(command[0]) === null)(`the receiver in ${language}`, async () => {
    const file = `${directory.path}/receiver.${language === "ts" ? "ts" : "py"}`;
    await Bun.write(file, recipe(language));
    const client = createClient({ url: server.url, token: "dev" });
    const topic = `recipe-${language}`;
    await client.topics.create(topic, { partitions: 1 });
    const port = await freePort();
    const url = `http://127.0.0.1:${port}/`;
    const { secret } = await client.webhooks.put(topic, {
      topic,
      url,
      backoffMs: [50],
      maxDeliveries: 1_000,
    });
    const child = Bun.spawn([...command, file], {
      env: { ...process.env, WEBHOOK_SECRET: secret ?? "", PORT: String(port) },
      stdout: "pipe",
      stderr: "inherit",
    });
    try {
      await client.produce(topic, { n: 1 });
      while ((await client.webhooks.get(topic)).delivered < 1) await Bun.sleep(20);
      const forged = await fetch(url, {
        method: "POST",
        body: '{"n":2}',
        headers: {
          "webhook-id": "1",
          "webhook-timestamp": String(Math.floor(Date.now() / 1000)),
          "webhook-signature": "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        },
      });
      expect(forged.status).toBe(401);
    } finally {
      child.kill();
    }
    expect(await new Response(child.stdout).text()).toBe('{"n":1}\n');
  });
}
