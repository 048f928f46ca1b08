/** Completion in shells: words of the registry, and names of the server. */
import { beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { COMMANDS } from "../../src/cli/commands.ts";
import { placeOf } from "../../src/cli/completion-names.ts";
import { createClient } from "../../src/client/index.ts";
import { ayder } from "../tools/process/ayder.ts";
import { cleanEnvironment, serverCommand } from "../tools/process/server.ts";
import { testServer } from "../tools/process/test-server.ts";

setDefaultTimeout(60_000);
const { directory, server } = testServer();
const client = () => createClient({ url: server.url, token: "dev" });
/** A busy machine may need longer than a person would wait. */
const PATIENT = { AYDER_COMPLETION_WITHIN: "30s" };
const env = () => ({ AYDER_URL: server.url, ...PATIENT });
const run = (...args: string[]) => ayder(args, { env: env() });

beforeAll(async () => {
  for (const topic of ["orders", "orders.eu", "sales"]) {
    await client().topics.create(topic, { partitions: 1 });
  }
  for (const group of ["billing", "team:audit", "team:mail"]) {
    await client().commit({ topic: "orders", group, partition: 0, offset: 0 });
  }
  const aggregate = { measures: [{ op: "count" }] } as const;
  await client().views.put("revenue", { source: { topic: "sales" }, aggregate });
  for (let i = 0; i < 150; i++) await client().durable.stream(`a/${i}`).create();
  await client().durable.stream("rooms/1").create();
  await client().kv("locks").put("key", "value");
  mkdirSync(join(directory.path, "files"));
  await Bun.write(join(directory.path, "files", "LOCAL"), "");
});

const names = async (...words: string[]) => {
  const { code, out, err } = await run("completion", "names", "--within", "30s", "--", ...words);
  expect([code, err]).toEqual([0, ""]);
  return out.split("\n").slice(0, -1);
};

test("names are topics, groups, views and namespaces where the command takes them", async () => {
  for (const [words, wanted] of [
    ["consume ", ["orders", "orders.eu", "sales"]],
    ["consume or", ["orders", "orders.eu"]],
    ["consume orders --group ", ["billing", "team:audit", "team:mail"]],
    ["consume -g team:", ["team:audit", "team:mail"]],
    ["consume -p 0 --from=3 --follow or", ["orders", "orders.eu"]],
    ["groups seek s", ["sales"]],
    ["groups seek sales b", ["billing"]],
    ["groups delete ", ["billing", "team:audit", "team:mail"]],
    ["topics delete sales or", ["orders", "orders.eu"]],
    ["join orders s", ["sales"]],
    ["views show ", ["revenue"]],
    ["views put new s", ["sales"]],
    ["query sa", ["sales"]],
    ["streams show ro", ["rooms/1"]],
    ["streams fork rooms/", ["rooms/1"]],
    ["streams fork rooms/1 ro", []],
    ["streams delete a/149", ["a/149"]],
    ["kv get ", ["locks"]],
    ["consume zzz", []],
    ["consume orders ", []],
    ["produce sales ", []],
    ["consume --fol", []],
    ["consume orders --from ", []],
    ["topics ", []],
    ["topics list ", []],
    ["frobnicate ", []],
    ["verify ", []],
    ["", []],
  ] as const) {
    expect([words, await names(...words.split(" "))]).toEqual([words, [...wanted]]);
  }
});

test("the server is that of --url on the command line, and one that is away has no names", async () => {
  const away = "http://127.0.0.1:1";
  expect(await names("consume", "--url", away, "")).toEqual([]);
  expect(await names("consume", `--url=${away}`, "")).toEqual([]);
  expect(await names("consume", "--url", "no address", "")).toEqual([]);
  const elsewhere = { AYDER_URL: away };
  const args = [
    "completion",
    "names",
    "--within",
    "30s",
    "--",
    "consume",
    "--url",
    server.url,
    "s",
  ];
  expect(await ayder(args, { env: elsewhere })).toEqual({ code: 0, out: "sales\n", err: "" });
});

test("nothing is printed after the time is over, and nothing that a shell would have to quote", async () => {
  const hostile = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: ({ url }) => {
      if (url.includes("/groups")) return new Promise<Response>(() => {});
      const topic = ["ok", "$(reboot)", "a b", "\u001b[2J", "`x`", 7, "\n", "x".repeat(250)];
      return Response.json({ topics: [...topic.map((each) => ({ topic: each })), null] });
    },
  });
  const asked = (...words: string[]) =>
    ayder(["completion", "names", "--within", "2s", "--", ...words], {
      env: { AYDER_URL: `http://127.0.0.1:${hostile.port}` },
    });
  expect(await asked("groups", "delete", "")).toEqual({ code: 0, out: "", err: "" });
  expect(
    await ayder(["completion", "names", "--within", "30s", "--", "consume", ""], {
      env: { AYDER_URL: `http://127.0.0.1:${hostile.port}` },
    }),
  ).toEqual({ code: 0, out: "ok\n", err: "" });
  await hostile.stop(true);
  const { code, err } = await run("completion", "names", "--within", "soon");
  expect([code, err.split("\n")[0]]).toEqual([
    2,
    'ayder: --within: "soon" is not a time such as 500ms, 30s, 5m, 2h or 7d, above 0',
  ]);
});

test("queues and schedules are asked where a command takes them", () => {
  const run = async () => 0;
  const command = {
    name: "queues",
    summary: "",
    actions: [{ name: "put", operands: "<queue> <topic> [schedule]", summary: "", run }],
    options: {},
  };
  for (const [words, kind] of [
    [["put", "a"], "queue"],
    [["put", "mail", "j"], "topic"],
    [["put", "mail", "jobs", ""], "schedule"],
  ] as const) {
    expect(placeOf(command, words)).toEqual({ kind, url: undefined });
  }
  expect(placeOf(command, ["put", "mail", "jobs", "daily", ""])).toBeNull();
});

/** Defines `ayder` for a shell that has no such program. */
const PROGRAM = `ayder() { ${serverCommand()
  .map((word) => `'${word}'`)
  .join(" ")} "$@"; }`;

test("bash completes commands, actions, options, names and files", async () => {
  const { out: script } = await run("completion", "bash");
  const complete = async (...words: string[]): Promise<string[]> => {
    const line = words.map((word) => `'${word}'`).join(" ");
    const code = `COMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}; _ayder; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const shell = Bun.spawn(["bash", "-c", `${PROGRAM}\n${script}\n${code}`], {
      cwd: join(directory.path, "files"),
      env: cleanEnvironment(env()),
      stdout: "pipe",
    });
    return (await new Response(shell.stdout).text()).split("\n").filter((word) => word !== "");
  };
  expect(await complete("ayder", "")).toEqual(
    expect.arrayContaining(COMMANDS.map(({ name }) => name)),
  );
  expect(await complete("ayder", "top")).toEqual(["topics"]);
  expect(await complete("ayder", "topics", "")).toEqual(
    expect.arrayContaining(["list", "describe", "create", "retention", "trim", "delete"]),
  );
  expect(await complete("ayder", "topics", "create", "--pa")).toEqual(["--partitions"]);
  expect(await complete("ayder", "topics", "trim", "--pa")).toEqual(["--partition"]);
  expect(await complete("ayder", "consume", "--fo")).toEqual(["--follow"]);
  expect(await complete("ayder", "help", "clu")).toEqual(["cluster"]);
  expect(await complete("ayder", "produce", "orders", "--file", "LOC")).toEqual(["LOCAL"]);
  expect(await complete("ayder", "verify", "LOC")).toEqual(["LOCAL"]);
  expect(await complete("ayder", "topics", "describe", "or")).toEqual(["orders", "orders.eu"]);
  expect(await complete("ayder", "consume", "orders", "-g", "b")).toEqual(["billing"]);
});

test("bash completes a name with a colon, at which it splits words", async () => {
  const { out: script } = await run("completion", "bash");
  const line = "ayder groups delete team:m";
  const code = [
    `COMP_LINE='${line}' COMP_POINT=${line.length}`,
    "COMP_WORDS=(ayder groups delete team : m) COMP_CWORD=5",
    `_ayder; printf '%s\\n' "\${COMPREPLY[@]}"`,
  ].join("\n");
  const shell = Bun.spawn(["bash", "-c", `${PROGRAM}\n${script}\n${code}`], {
    env: cleanEnvironment(env()),
    stdout: "pipe",
  });
  expect(await new Response(shell.stdout).text()).toBe("mail\n");
});

test("every command, action and option is in the scripts of zsh and fish, which the shells accept", async () => {
  const commands = await Promise.all(COMMANDS.map(({ load }) => load()));
  for (const shell of ["zsh", "fish"]) {
    const { code, out } = await run("completion", shell);
    expect(code).toBe(0);
    for (const { name, actions, options } of commands) {
      expect(out).toContain(name);
      for (const action of actions) expect(out).toContain(action.name);
      for (const option of Object.keys(options)) expect(out).toContain(option);
    }
    const path = join(directory.path, `completion.${shell}`);
    await Bun.write(path, out);
    // Few build machines have all shells.
    if (Bun.which(shell) === null) continue;
    expect(await Bun.spawn([shell, "-n", path], { stderr: "inherit" }).exited).toBe(0);
  }
});

test.skipIf(Bun.which("fish") === null)("fish completes names", async () => {
  const bin = join(directory.path, "bin");
  mkdirSync(bin, { recursive: true });
  const words = serverCommand().map((word) => `'${word}'`);
  await Bun.write(join(bin, "ayder"), `#!/bin/sh\nexec ${words.join(" ")} "$@"\n`);
  await Bun.$`chmod +x ${join(bin, "ayder")}`;
  const path = join(directory.path, "names.fish");
  await Bun.write(path, (await run("completion", "fish")).out);
  const complete = async (line: string): Promise<string[]> => {
    const code = `source ${path}; complete -C '${line}'`;
    const shell = Bun.spawn(["fish", "--no-config", "-c", code], {
      env: cleanEnvironment({ ...env(), PATH: `${bin}:${process.env["PATH"]}` }),
      cwd: join(directory.path, "files"),
      stdout: "pipe",
    });
    const printed = (await new Response(shell.stdout).text()).trimEnd().split("\n");
    return printed.map((each) => each.split("\t")[0] ?? "");
  };
  expect(await complete("ayder consume or")).toEqual(["orders", "orders.eu"]);
  expect(await complete("ayder consume orders --group bil")).toEqual(["billing"]);
  expect(await complete("ayder topics create --pa")).toEqual(["--partitions"]);
});

test.skipIf(Bun.which("zsh") === null)("zsh completes names", async () => {
  const path = join(directory.path, "names.zsh");
  await Bun.write(path, (await run("completion", "zsh")).out);
  // The functions of the completion system, as far as the script calls them.
  const code = `
    compadd() { shift; print -l -- \${(P)1}; }
    _files() { print files; }
    _describe() { print described $1; }
    ${PROGRAM}
    source ${path}
    words=(ayder consume or); CURRENT=3; _ayder
    words=(ayder consume orders ''); CURRENT=4; _ayder
    words=(ayder consume orders --group ''); CURRENT=5; _ayder
    words=(ayder topics ''); CURRENT=3; _ayder`;
  const shell = Bun.spawn(["zsh", "-f", "-c", code], {
    env: cleanEnvironment(env()),
    stdout: "pipe",
  });
  expect((await new Response(shell.stdout).text()).trimEnd().split("\n")).toEqual([
    "orders",
    "orders.eu",
    "files",
    "billing",
    "team:audit",
    "team:mail",
    "described action",
  ]);
});
