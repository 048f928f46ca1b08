/** One node: a real process with a directory, a log file and a place in the cluster. */
import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { cleanEnvironment, serverCommand } from "../process/server.ts";
import { adopt, withParent } from "./children.ts";
import type { Address } from "./http-connection.ts";

export type NodeOptions = {
  readonly id: string;
  readonly directory: string;
  readonly http: Address;
  /** Before the command, such as what enters a network namespace. */
  readonly prefix?: readonly string[];
};

export type NodeState = "stopped" | "running" | "paused";

const LOG_TAIL_LINES = 12;
const LOG_LINE_CHARACTERS_MAX = 400;

export class NodeProcess {
  readonly id: string;
  readonly http: Address;
  readonly dataDir: string;
  readonly logPath: string;
  readonly #prefix: readonly string[];
  #child: Subprocess | null = null;
  #state: NodeState = "stopped";
  /** Starts a server: the program under test, unless a test of upgrades sets another one. */
  command: readonly string[] = serverCommand();
  /** How often it was started: reads of one life never go back. */
  lives = 0;
  wipes = 0;

  constructor({ id, directory, http, prefix = [] }: NodeOptions) {
    this.id = id;
    this.http = http;
    this.dataDir = join(directory, id);
    this.logPath = join(directory, `${id}.log`);
    this.#prefix = prefix;
  }

  get state(): NodeState {
    return this.#hasEnded ? "stopped" : this.#state;
  }

  /** It ended although nobody ended it. */
  get endedByItself(): boolean {
    return this.#hasEnded && this.#state !== "stopped";
  }

  get pid(): number | null {
    return this.state === "stopped" ? null : (this.#child?.pid ?? null);
  }

  /** How the last life ended. */
  get ending(): string {
    const { exitCode = null, signalCode = null } = this.#child ?? {};
    return signalCode === null ? `code ${exitCode}` : `signal ${signalCode}`;
  }

  /** Returns at once; whether it serves is asked over HTTP. */
  start(environment: Readonly<Record<string, string>>): void {
    if (this.state !== "stopped") throw new Error(`${this.id} runs already`);
    this.#state = "stopped";
    mkdirSync(this.dataDir, { recursive: true, mode: 0o700 });
    this.lives++;
    this.note(`life ${this.lives} begins`);
    const log = openSync(this.logPath, "a");
    const { host, port } = this.http;
    const command = [
      ...this.command,
      ...["--host", host, "--port", String(port), "--data-dir", this.dataDir],
    ];
    this.#child = Bun.spawn(withParent([...this.#prefix, ...command]), {
      env: cleanEnvironment(environment),
      stdin: "ignore",
      stdout: log,
      stderr: log,
    });
    closeSync(log);
    adopt(this.#child);
    this.#state = "running";
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null || this.state === "stopped") return;
    child.kill("SIGKILL");
    await child.exited;
    this.#state = "stopped";
    this.note("killed");
  }

  /** SIGTERM; SIGKILL if it takes too long. */
  async stop(timeoutMs = 10_000): Promise<void> {
    const child = this.#child;
    if (child === null || this.state === "stopped") return;
    if (this.#state === "paused") this.resume();
    child.kill("SIGTERM");
    const patience = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    await child.exited;
    clearTimeout(patience);
    this.#state = "stopped";
  }

  pause(): void {
    if (this.state !== "running") return;
    this.#child?.kill("SIGSTOP");
    this.#state = "paused";
    this.note("paused");
  }

  resume(): void {
    if (this.state !== "paused") return;
    this.#child?.kill("SIGCONT");
    this.#state = "running";
    this.note("resumed");
  }

  /** Only of a stopped node. */
  wipe(): void {
    if (this.state !== "stopped") throw new Error(`${this.id} still runs`);
    rmSync(this.dataDir, { recursive: true, force: true });
    this.wipes++;
    this.note("disk wiped");
  }

  /** Its end has been taken note of. */
  acknowledgeEnd(): void {
    if (this.#hasEnded) this.#state = "stopped";
  }

  get #hasEnded(): boolean {
    const child = this.#child;
    return child !== null && (child.exitCode !== null || child.signalCode !== null);
  }

  /** A line of the harness in the node's own log. */
  note(what: string): void {
    appendFileSync(
      this.logPath,
      `ts=${new Date().toISOString()} harness=${JSON.stringify(what)}\n`,
    );
  }

  logTail(lines = LOG_TAIL_LINES): string {
    if (!existsSync(this.logPath)) return "";
    const all = readFileSync(this.logPath, "utf8").trimEnd().split("\n");
    const tail = all.slice(-lines).map((line) => line.slice(0, LOG_LINE_CHARACTERS_MAX));
    return tail.join("\n");
  }
}
