/**
 * install.sh under the shells that are here, against a web server of its own: what it installs, and
 * that it installs nothing when anything is wrong. The artifacts are small scripts.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { TARGETS } from "../../src/release/targets.ts";
import { temporaryDirectory } from "../tools/process/server.ts";

const SCRIPT = join(import.meta.dir, "../../src/deploy/install.sh");
const SHELLS = [["sh"], ["dash"], ["busybox", "sh"], ["bash"]].filter(([shell = ""]) =>
  Bun.which(shell),
);
setDefaultTimeout(60_000); // For busy machines.
const directory = temporaryDirectory();
const files = new Map<string, string>();
let server: ReturnType<typeof serve>;
let names = 0;

const artifactOf = (name: string) => `#!/bin/sh\necho "ayder 9.9.9 for ${name}"\n`;
const sumOf = (text: string) => new Bun.CryptoHasher("sha256").update(text).digest("hex");
const UNIX = TARGETS.filter(({ suffix }) => suffix === "");

beforeAll(() => {
  for (const { name } of UNIX) files.set(`/ayder-${name}`, artifactOf(name));
  files.set("/SHA256SUMS", sums(files));
  server = serve(files);
});
afterAll(async () => {
  await server.stop(true);
  directory.remove();
});

const sums = (of: ReadonlyMap<string, string>) =>
  [...of].map(([path, text]) => `${sumOf(text)}  ${path.slice(1)}\n`).join("");

type Run = { readonly code: number; readonly output: string; readonly prefix: string };
type Machine = { readonly kernel: string; readonly hardware: string; readonly libc: string };
const HERE: Machine = { kernel: "Linux", hardware: "x86_64", libc: "ldd (Debian GLIBC 2.36) 2.36" };

/** Runs the script as if on another machine: `uname` and `ldd` are ours. */
async function install(
  shell: readonly string[],
  { base, machine = HERE, args = [] }: { base?: string; machine?: Machine; args?: string[] },
): Promise<Run> {
  const own = join(directory.path, `run-${names++}`);
  const prefix = join(own, "a prefix");
  const bin = join(own, "fake");
  const scratch = join(own, "tmp");
  for (const path of [bin, scratch]) mkdirSync(path, { recursive: true });
  const fake = (name: string, text: string) => {
    writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(bin, name), 0o755);
  };
  fake("uname", `[ "$1" = -s ] && echo ${machine.kernel} || echo ${machine.hardware}`);
  fake("ldd", `echo "${machine.libc}" >&2; exit 1`);
  const child = Bun.spawn([...shell, SCRIPT, "--prefix", prefix, ...args], {
    env: {
      PATH: `${bin}:${process.env["PATH"]}`,
      TMPDIR: scratch,
      ...(base === undefined ? {} : { AYDER_BASE_URL: base }),
    },
    stdout: "pipe",
    stderr: "pipe",
  });
  const output = (await child.stdout.text()) + (await child.stderr.text());
  const code = await child.exited;
  expect(readdirSync(scratch), "nothing is left behind").toEqual([]);
  return { code, output, prefix };
}

function expectRefused({ code, output, prefix }: Run, why: string): void {
  expect(output).toContain(why);
  expect(code).toBe(1);
  const bin = join(prefix, "bin");
  expect(existsSync(bin) ? readdirSync(bin) : []).toEqual([]);
}

const here = () => server.url.origin;
const installed = async (prefix: string) =>
  await Bun.$`${join(prefix, "bin/ayder")} --version`.text();

for (const shell of SHELLS) {
  describe(`install.sh in ${shell.join(" ")}`, () => {
    test("installs what runs, and once more over it", async () => {
      const { code, output, prefix } = await install(shell, { base: here() });
      expect(output).toContain("installed ayder 9.9.9 for linux-x64");
      expect(code).toBe(0);
      expect(await installed(prefix)).toBe("ayder 9.9.9 for linux-x64\n");
      const again = await install(shell, { base: here(), args: ["--prefix", prefix] });
      expect(again.code).toBe(0);
      expect(readdirSync(join(prefix, "bin"))).toEqual(["ayder"]);
    });

    test("a wrong sum is refused", async () => {
      const wrong = new Map(files).set("/ayder-linux-x64", "#!/bin/sh\necho evil\n");
      await serving(wrong, async (base) => {
        expectRefused(await install(shell, { base }), "the checksum of ayder-linux-x64 is wrong");
      });
    });

    test("a missing artifact and a missing list are refused", async () => {
      const without = new Map(files);
      without.delete("/ayder-linux-x64");
      await serving(without, async (base) => {
        expectRefused(await install(shell, { base }), "cannot download");
      });
      without.set("/SHA256SUMS", sums(new Map([["/ayder-linux-x64-musl", "x"]])));
      await serving(without, async (base) => {
        expectRefused(await install(shell, { base }), "this release has no ayder-linux-x64");
      });
      await serving(new Map(), async (base) => {
        expectRefused(await install(shell, { base }), "cannot download");
      });
    });

    test("a download that is cut off is refused", async () => {
      const { port, stop } = await startCutting();
      try {
        const run = await install(shell, { base: `http://127.0.0.1:${port}` });
        expectRefused(run, "cannot download");
      } finally {
        stop();
      }
    });

    test("a server that is not there, no server at all, and bad arguments are refused", async () => {
      expectRefused(await install(shell, { base: "http://127.0.0.1:1" }), "cannot download");
      expectRefused(await install(shell, {}), "AYDER_BASE_URL");
      expectRefused(await install(shell, { base: here(), args: ["--wrong"] }), "unknown argument");
    });

    test("a binary that does not run here is not left in place", async () => {
      const text = "#!/bin/sh\necho no such loader; exit 127\n";
      const broken = new Map([["/ayder-linux-x64", text]]);
      broken.set("/SHA256SUMS", sums(broken));
      await serving(broken, async (base) => {
        expectRefused(await install(shell, { base }), "does not run here: no such loader");
      });
    });
  });
}

test("each machine gets its own binary", async () => {
  const glibc = "ldd (GNU libc) 2.36";
  const musl = "musl libc (x86_64)";
  const machines: Readonly<Record<string, Machine>> = {
    "linux-x64": { kernel: "Linux", hardware: "x86_64", libc: glibc },
    "linux-arm64": { kernel: "Linux", hardware: "aarch64", libc: glibc },
    "linux-x64-musl": { kernel: "Linux", hardware: "x86_64", libc: musl },
    "linux-arm64-musl": { kernel: "Linux", hardware: "aarch64", libc: musl },
    "darwin-x64": { kernel: "Darwin", hardware: "x86_64", libc: "" },
    "darwin-arm64": { kernel: "Darwin", hardware: "arm64", libc: "" },
  };
  expect(Object.keys(machines).sort()).toEqual(UNIX.map(({ name }) => name).sort());
  for (const [name, machine] of Object.entries(machines)) {
    const { output } = await install(["sh"], { base: here(), machine });
    expect(output).toContain(`installed ayder 9.9.9 for ${name}`);
  }
  const odd = { ...HERE, hardware: "riscv64" };
  expectRefused(await install(["sh"], { base: here(), machine: odd }), "no binary for riscv64");
});

const serve = (what: ReadonlyMap<string, string>) =>
  Bun.serve({
    port: 0,
    fetch: (request) => {
      const text = what.get(new URL(request.url).pathname);
      return text === undefined ? new Response("no", { status: 404 }) : new Response(text);
    },
  });

async function serving(
  what: ReadonlyMap<string, string>,
  use: (base: string) => Promise<void>,
): Promise<void> {
  const other = serve(what);
  try {
    await use(other.url.origin);
  } finally {
    await other.stop(true);
  }
}

/** Promises more bytes than it sends, and hangs up. */
async function startCutting(): Promise<{ port: number; stop: () => void }> {
  const cutting: Server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (request) => {
      const whole = request.toString().includes("SHA256SUMS");
      const body = whole ? (files.get("/SHA256SUMS") ?? "") : "#!/bin/sh\n";
      const length = body.length + (whole ? 0 : 1000);
      socket.end(
        `HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n${body}`,
      );
    });
  });
  await new Promise<void>((resolve) => cutting.listen(0, "127.0.0.1", resolve));
  const address = cutting.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { port: address.port, stop: () => cutting.close() };
}
