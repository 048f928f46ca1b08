/**
 * Each node in a network namespace of its own, on one bridge. A blackhole route drops what one node
 * sends to another, so one direction can be lost alone. Needs root.
 */
import type { Network } from "./links.ts";
import type { Weather } from "./relay.ts";

export const nodeId = (index: number): string => `n${index + 1}`;

/** A private range of addresses; the third part differs by process. */
const SUBNET = `10.213.${process.pid % 250}`;
const PREFIX = `ayd${process.pid % 10_000}`;
const BRIDGE = `${PREFIX}br`;

export class Namespaces implements Network {
  readonly #size: number;
  readonly #blocked = new Set<string>();
  #closed = false;
  relayed = 0;

  constructor(size: number) {
    this.#size = size;
    process.on("exit", () => this.close());
    run("ip", "link", "add", BRIDGE, "type", "bridge");
    run("ip", "addr", "add", `${SUBNET}.254/24`, "dev", BRIDGE);
    run("ip", "link", "set", BRIDGE, "up");
    for (let i = 0; i < size; i++) this.#add(i);
  }

  /** Null: they can be had here; else why not. */
  static whyNot(): string | null {
    if (process.getuid?.() !== 0) return "network namespaces need root";
    for (const tool of ["ip", "nsenter"]) {
      if (Bun.which(tool) === null) return `network namespaces need the command ${tool}`;
    }
    const probe = `${PREFIX}probe`;
    const made = Bun.spawnSync(["ip", "netns", "add", probe]);
    if (!made.success) return `network namespaces: ${made.stderr.toString().trim()}`;
    run("ip", "netns", "del", probe);
    return null;
  }

  host(index: number): string {
    return `${SUBNET}.${index + 1}`;
  }

  /** Enters the namespace and becomes the command that follows, with the same process id. */
  prefix(index: number): string[] {
    return ["nsenter", `--net=/var/run/netns/${this.#name(index)}`];
  }

  /** Only loss: the kernel here delays nothing. */
  set(from: string, to: string, { blocked = false, delayMs = 0 }: Partial<Weather>): void {
    if (delayMs > 0) throw new Error("namespaces delay nothing");
    const rule = `${from}>${to}`;
    if (blocked === this.#blocked.has(rule)) return;
    if (blocked) this.#blocked.add(rule);
    else this.#blocked.delete(rule);
    this.relayed++;
    this.#route(blocked ? "add" : "del", from, to);
  }

  heal(): void {
    for (const rule of [...this.#blocked]) {
      const [from = "", to = ""] = rule.split(">");
      this.set(from, to, {});
    }
  }

  cutMidFrame(): void {
    throw new Error("namespaces cut no frames");
  }

  halfOpen(): void {
    throw new Error("namespaces know nothing of connections");
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (let i = 0; i < this.#size; i++) Bun.spawnSync(["ip", "netns", "del", this.#name(i)]);
    Bun.spawnSync(["ip", "link", "del", BRIDGE]);
  }

  #name(index: number): string {
    return `${PREFIX}${nodeId(index)}`;
  }

  #add(index: number): void {
    const name = this.#name(index);
    const inside = ["ip", "-n", name] as const;
    run("ip", "netns", "add", name);
    run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name);
    run("ip", "link", "set", name, "master", BRIDGE, "up");
    run(...inside, "addr", "add", `${this.host(index)}/24`, "dev", "eth0");
    run(...inside, "link", "set", "lo", "up");
    run(...inside, "link", "set", "eth0", "up");
  }

  #route(action: "add" | "del", from: string, to: string): void {
    const host = this.host(Number(to.slice(1)) - 1);
    const name = this.#name(Number(from.slice(1)) - 1);
    run("ip", "-n", name, "route", action, "blackhole", `${host}/32`);
  }
}

function run(...command: readonly string[]): void {
  const { success, stderr } = Bun.spawnSync([...command]);
  if (!success) throw new Error(`${command.join(" ")}: ${stderr.toString().trim()}`);
}
