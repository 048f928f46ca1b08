/** `ayder views --watch`: redrawn on a terminal, printed when it changes in a pipe. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { createClient } from "../../src/client/index.ts";
import { ayder, spawnAyder } from "../tools/process/ayder.ts";
import { cleanEnvironment, serverCommand } from "../tools/process/server.ts";
import { testServer } from "../tools/process/test-server.ts";

setDefaultTimeout(60_000);
const { server } = testServer();
const client = () => createClient({ url: server.url, token: "dev" });
const env = () => ({ AYDER_URL: server.url });
const EVIL = "\u001b]0;owned\u0007";

async function totals(name: string): Promise<void> {
  await client().topics.create(name, { partitions: 1 });
  const aggregate = { group_by: ["region"], measures: [{ op: "sum", field: "n" }] } as const;
  await client().views.put(name, { source: { topic: name }, aggregate });
}
const sell = (topic: string, region: string) =>
  client().produce(topic, `{"region":${JSON.stringify(region)},"n":9007199254740993}`, {
    partition: 0,
  });

/** Reads until the text has what is waited for. */
async function readUntil(
  reader: { read(): Promise<{ done?: boolean; value?: Uint8Array | undefined }> },
  wanted: string,
): Promise<string> {
  let text = "";
  while (!text.includes(wanted)) {
    const { done, value } = await reader.read();
    if (done === true) throw new Error(`ended without ${JSON.stringify(wanted)}: ${text}`);
    text += new TextDecoder().decode(value);
  }
  return text;
}

test("in a pipe the table is printed when it changes, with every digit, and Ctrl-C ends with 0", async () => {
  await totals("piped");
  const watching = ["views", "show", "piped", "--watch", "--every", "20ms"];
  const child = spawnAyder(watching, { env: env() });
  const reader = child.stdout.getReader();
  expect(await readUntil(reader, "\n")).toBe("0 groups\n");
  await sell("piped", "eu");
  const first = await readUntil(reader, "9007199254740993\n");
  expect(first).toBe("\nregion  count             sum_n\neu          1  9007199254740993\n");
  await sell("piped", "eu");
  const second = await readUntil(reader, "18014398509481986\n");
  expect(second).toBe("\nregion  count              sum_n\neu          2  18014398509481986\n");
  child.kill("SIGINT");
  expect((await reader.read()).done).toBe(true);
  expect([await child.exited, await new Response(child.stderr).text()]).toEqual([0, ""]);
});

test("with --json each change is one line", async () => {
  await totals("lines");
  const watching = ["views", "list", "-w", "--every", "20ms", "--json"];
  const child = spawnAyder(watching, { env: env() });
  const reader = child.stdout.getReader();
  const line = JSON.parse(await readUntil(reader, "\n"));
  expect(line.views.map(({ view }: { view: string }) => view)).toContain("lines");
  await totals("more");
  expect(await readUntil(reader, '"view":"more"')).toEndWith("}\n");
  child.kill("SIGTERM");
  expect(await child.exited).toBe(0);
});

test("on a terminal the table is redrawn in place, cut to the screen, and escapes are shown", async () => {
  await totals("drawn");
  for (let i = 10; i < 30; i++) await sell("drawn", `${EVIL}${i}`);
  let text = "";
  let seen = () => {};
  const drawn = new Promise<void>((resolve) => {
    seen = () => text.split("more lines").length > 2 && resolve();
  });
  const child = Bun.spawn(
    [...serverCommand(), "views", "show", "drawn", "--watch", "--every", "20ms"],
    {
      env: cleanEnvironment({ ...env(), TERM: "xterm" }),
      terminal: {
        cols: 80,
        rows: 10,
        data(_, data) {
          text += new TextDecoder().decode(data);
          seen();
        },
      },
    },
  );
  await drawn;
  child.kill("SIGINT");
  expect(await child.exited).toBe(0);
  const screens = text.split("\u001b[H\u001b[J").slice(1);
  const whole = screens.find((screen) => screen.includes("more lines")) ?? "";
  const rows = whole.replaceAll("\u001b[K", "").replaceAll("\r", "").trimEnd().split("\n");
  expect(rows.slice(0, 4)).toEqual([
    "view drawn, every 20ms; Ctrl-C ends",
    "",
    expect.stringMatching(/^region +count +sum_n$/),
    expect.stringContaining("\\x1b]0;owned\\x0710"),
  ]);
  expect([rows.length, rows.at(-1)]).toEqual([9, "… 15 more lines"]);
  expect(text).not.toContain(EVIL);
});

test("wrong times and views that do not exist are refused", async () => {
  const refused = async (...args: string[]) => {
    const { code, out, err } = await ayder(["views", ...args], { env: env() });
    return [code, out, err.split("\n")[0]];
  };
  expect(await refused("list", "--watch", "--every", "0s")).toEqual([
    2,
    "",
    'ayder: --every: "0s" is not a time such as 500ms, 30s, 5m, 2h or 7d, above 0',
  ]);
  expect(await refused("list", "--every", "1s")).toEqual([2, "", "ayder: --every needs --watch"]);
  expect(await refused("delete", "x", "--watch")).toEqual([
    2,
    "",
    "ayder: --watch belongs to views list, show",
  ]);
  const [code, out, err] = await refused("show", "none", "--watch");
  expect([code, out]).toEqual([1, ""]);
  expect(err).toContain("view_not_found");
});
