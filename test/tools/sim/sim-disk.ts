/**
 * A disk in memory that keeps apart what is durable and what is not: for each file a durable
 * content and the writes since the last sync, for the directories the changes since their last
 * sync. A crash decides about each of them.
 */
import {
  type Disk,
  DiskFailure,
  type DiskFile,
  DiskFull,
  type DiskSpace,
  ResourceShortage,
} from "../../../src/env/disk.ts";
import type { Random } from "../random.ts";
import { Content, type Fate, type FileOperation } from "./sim-content.ts";
import type { SpaceLimit } from "./space-limit.ts";

export type { Fate } from "./sim-content.ts";

type NameOperation =
  | { readonly kind: "link"; readonly path: string; readonly node: Node }
  | { readonly kind: "unlink"; readonly path: string }
  | { readonly kind: "rename"; readonly from: string; readonly to: string; readonly node: Node }
  | { readonly kind: "directory"; readonly path: string };

type Node = { durable: Content; current: Content; pending: FileOperation[] };

const FREE_BYTES_DEFAULT = 2 ** 40;
const TOTAL_BYTES = 2 ** 41;

/** Switches that may be turned while the disk is used. */
export type SimFaults = {
  /** The call with this number (see `calls`) fails. */
  failCall: number | null;
  /** `short`: half of a write is stored, then space runs out; other calls go well. */
  failWith: "eio" | "full" | "short";
  /** Syncs of paths that contain it fail once; their pages count as clean afterwards. */
  syncError: string | null;
  /** Writes that make a file longer find no space. */
  full: boolean;
  /** Writes succeed, but a sync finds no space. */
  fullAtSync: boolean;
  /** Reads of paths that contain it fail. */
  readError: string | null;
  /** A lying disk: half of each write is stored, and no error given. */
  halfWrites: boolean;
  /** Operations from now on that need a descriptor and find none (EMFILE); the rest go well. */
  shortages: number;
  freeBytes: number;
  /** Null: there is always space. */
  space: SpaceLimit | null;
};

export type SimDiskOptions = {
  /** Awaited before each operation has its effect; for latency and stuck disks. */
  readonly delay?: (operation: string, path: string) => Promise<void> | null;
  /** Called before each operation. */
  readonly onCall?: (operation: string, path: string) => void;
};

export class SimDisk implements Disk {
  readonly faults: SimFaults = {
    failCall: null,
    failWith: "eio",
    syncError: null,
    full: false,
    fullAtSync: false,
    readError: null,
    halfWrites: false,
    shortages: 0,
    freeBytes: FREE_BYTES_DEFAULT,
    space: null,
  };
  /** Operations so far. */
  calls = 0;
  readonly #options: SimDiskOptions;
  #durable: Names = new Names();
  #current: Names = new Names();
  #pendingNames: NameOperation[] = [];
  #epoch = 0;
  #writesShort = false;

  constructor(options: SimDiskOptions = {}) {
    this.#options = options;
  }

  async open(path: string, mode: "create" | "existing" | "truncate"): Promise<DiskFile> {
    await this.#begin("open", path);
    this.#takeDescriptor("open", path);
    let node = this.#current.files.get(path);
    if (mode === "create" && node !== undefined) throw new DiskFailure(`open ${path}: EEXIST`);
    if (mode === "existing" && node === undefined) throw new DiskFailure(`open ${path}: ENOENT`);
    if (node === undefined) {
      if (!this.#current.hasDirectory(parentOf(path))) {
        throw new DiskFailure(`open ${path}: ENOENT`);
      }
      this.faults.space?.need(`open ${path}`);
      node = { durable: new Content(), current: new Content(), pending: [] };
      this.#name({ kind: "link", path, node });
    } else if (mode === "truncate") change(node, { kind: "truncate", size: 0 });
    return new SimFile(this, node, path, this.#epoch);
  }

  async readWhole(path: string): Promise<Uint8Array | null> {
    await this.#begin("read", path);
    this.#takeDescriptor("read", path);
    this.checkRead(path);
    return this.#current.files.get(path)?.current.bytes.slice() ?? null;
  }

  async readRange(path: string, position: number, length: number): Promise<Uint8Array> {
    const file = await this.open(path, "existing");
    return await file.read(position, length);
  }

  async writeWhole(path: string, bytes: Uint8Array): Promise<void> {
    const temporary = `${path}.tmp`;
    const file = await this.open(temporary, "truncate");
    await file.write(0, bytes);
    await file.sync();
    await file.close();
    await this.rename(temporary, path);
    await this.syncDirectory(parentOf(path));
  }

  async list(directory: string): Promise<string[]> {
    await this.#begin("list", directory);
    this.#takeDescriptor("list", directory);
    return this.#current.list(directory);
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#begin("makeDirectory", path);
    if (!this.#current.hasDirectory(path)) this.faults.space?.need(`makeDirectory ${path}`);
    const parts = path.split("/");
    for (let i = 1; i <= parts.length; i++) {
      const prefix = parts.slice(0, i).join("/");
      if (!this.#current.hasDirectory(prefix)) this.#name({ kind: "directory", path: prefix });
    }
  }

  async remove(path: string): Promise<void> {
    await this.#begin("remove", path);
    if (this.#current.files.has(path)) this.#name({ kind: "unlink", path });
  }

  async removeTree(path: string): Promise<void> {
    await this.#begin("removeTree", path);
    this.#takeDescriptor("removeTree", path);
    this.faults.space?.needToRemove(path);
    for (const name of [...this.#current.files.keys()]) {
      if (name === path || name.startsWith(`${path}/`)) this.#name({ kind: "unlink", path: name });
    }
    for (const name of [...this.#current.directories]) {
      if (name === path || name.startsWith(`${path}/`)) this.#name({ kind: "unlink", path: name });
    }
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#begin("rename", from);
    this.faults.space?.need(`rename ${from}`);
    const node = this.#current.files.get(from);
    if (node !== undefined) this.#name({ kind: "rename", from, to, node });
    else if (this.#current.directories.has(from)) this.#renameTree(from, to);
    else throw new DiskFailure(`rename ${from}: ENOENT`);
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#begin("syncDirectory", path);
    this.#takeDescriptor("syncDirectory", path);
    this.checkSync(path);
    const left: NameOperation[] = [];
    for (const operation of this.#pendingNames) {
      if (touches(operation, path)) this.#durable.apply(operation);
      else left.push(operation);
    }
    this.#pendingNames = left;
  }

  async space(): Promise<DiskSpace> {
    await this.#begin("space", "");
    const { space, freeBytes } = this.faults;
    return { freeBytes: space?.isFull === true ? 0 : freeBytes, totalBytes: TOTAL_BYTES };
  }

  /** Un-synced operations, which a crash decides about. */
  get pending(): number {
    let count = this.#pendingNames.length;
    for (const node of this.#nodes()) count += node.pending.length;
    return count;
  }

  /** Everything un-synced meets a random fate; open files are void. */
  crash(random: Random): void {
    const fates: readonly Fate[] = ["lost", "kept", "torn", "zeros"];
    this.#become(this.afterCrash(() => random.pick(fates), random));
  }

  /** The process ended: open files are void, what was written stays with the operating system. */
  kill(): void {
    this.#epoch++;
  }

  /** The disk after a crash with these fates, as a new disk. */
  afterCrash(fateOf: (operation: number) => Fate, random: Random): SimDisk {
    const next = new SimDisk();
    const copies = new Map<Node, Node>();
    let operation = 0;
    for (const node of this.#nodes()) {
      const content = node.durable.copy();
      for (const change of node.pending) {
        content.applyTorn(change, fateOf(operation++), random);
      }
      copies.set(node, { durable: content, current: content.copy(), pending: [] });
    }
    const names = this.#durable.copy();
    for (const change of this.#pendingNames) {
      const fate = fateOf(operation++);
      if (fate === "kept" || fate === "torn") names.apply(change);
    }
    names.dropOrphans();
    for (const [path, node] of names.files) names.files.set(path, copies.get(node) ?? node);
    next.#durable = names;
    next.#current = names.copy();
    return next;
  }

  /** A copy with all that is durable and pending, for a crash at this very point. */
  snapshot(options: SimDiskOptions = {}): SimDisk {
    const next = new SimDisk(options);
    const copies = new Map<Node, Node>();
    for (const node of this.#nodes()) {
      copies.set(node, {
        durable: node.durable.copy(),
        current: node.current.copy(),
        pending: [...node.pending],
      });
    }
    const move = (names: Names) => {
      const moved = names.copy();
      for (const [path, node] of moved.files) moved.files.set(path, copies.get(node) ?? node);
      return moved;
    };
    next.#durable = move(this.#durable);
    next.#current = move(this.#current);
    next.#pendingNames = this.#pendingNames.map((operation) =>
      "node" in operation
        ? { ...operation, node: copies.get(operation.node) ?? operation.node }
        : operation,
    );
    return next;
  }

  /** Damage at rest. */
  flipBit(path: string, bit: number): void {
    const node = this.#current.files.get(path);
    if (node === undefined) throw new Error(`no file ${path}`);
    if (bit < 0) throw new Error(`${path} has no bit ${bit}`);
    for (const content of [node.durable, node.current]) content.flip(bit);
  }

  /** Current content; for tests that look at or prepare files directly. */
  peek(path: string): Uint8Array | null {
    return this.#current.files.get(path)?.current.bytes ?? null;
  }

  paths(): string[] {
    return [...this.#current.files.keys()].sort();
  }

  /** All files with their durable and current bytes, as one comparable text. */
  digest(): string {
    const line = (path: string) => `${path}:${Bun.hash(this.peek(path) ?? new Uint8Array(0))}`;
    return this.paths().map(line).join("\n");
  }

  /** For `SimFile`. */
  async begin(operation: string, path: string, epoch: number): Promise<void> {
    if (epoch !== this.#epoch) throw new DiskFailure(`${operation} ${path}: from before a crash`);
    await this.#begin(operation, path);
    if (epoch !== this.#epoch) throw new DiskFailure(`${operation} ${path}: from before a crash`);
  }

  /** For `SimFile`. */
  checkSync(path: string): void {
    if (this.faults.fullAtSync) throw new DiskFull(`sync ${path}: ENOSPC`);
    if (this.faults.syncError !== null && path.includes(this.faults.syncError)) {
      this.faults.syncError = null;
      throw new DiskFailure(`sync ${path}: EIO`);
    }
  }

  async #begin(operation: string, path: string): Promise<void> {
    this.#options.onCall?.(operation, path);
    const call = this.calls++;
    const wait = this.#options.delay?.(operation, path) ?? null;
    if (wait !== null) await wait;
    if (call !== this.faults.failCall) return;
    if (this.faults.failWith === "short") {
      this.#writesShort = operation === "write";
      return;
    }
    const message = `${operation} ${path}: injected at call ${call}`;
    throw this.faults.failWith === "full" ? new DiskFull(message) : new DiskFailure(message);
  }

  #takeDescriptor(operation: string, path: string): void {
    if (this.faults.shortages === 0) return;
    this.faults.shortages--;
    throw new ResourceShortage(`${operation} ${path}: EMFILE`);
  }

  /** For `SimFile`: whether the write that just began is to end half done. */
  takeShort(): boolean {
    const short = this.#writesShort;
    this.#writesShort = false;
    return short;
  }

  /** For `SimFile`. */
  checkRead(path: string): void {
    if (this.faults.readError !== null && path.includes(this.faults.readError)) {
      throw new DiskFailure(`read ${path}: EIO`);
    }
  }

  #name(operation: NameOperation): void {
    this.#current.apply(operation);
    this.#pendingNames.push(operation);
  }

  #renameTree(from: string, to: string): void {
    // One operation a name; a crash between them is finer than a real rename, never coarser.
    this.#name({ kind: "directory", path: to });
    for (const [path, node] of [...this.#current.files]) {
      if (!path.startsWith(`${from}/`)) continue;
      this.#name({ kind: "rename", from: path, to: to + path.slice(from.length), node });
    }
    this.#name({ kind: "unlink", path: from });
  }

  /** Every file that has a name now, durably or in a pending change, each once. */
  #nodes(): Set<Node> {
    const nodes = new Set<Node>([...this.#durable.files.values(), ...this.#current.files.values()]);
    for (const operation of this.#pendingNames) if ("node" in operation) nodes.add(operation.node);
    return nodes;
  }

  #become(other: SimDisk): void {
    this.#durable = other.#durable;
    this.#current = other.#current;
    this.#pendingNames = other.#pendingNames;
    this.#epoch++;
  }
}

class SimFile implements DiskFile {
  readonly descriptor = null;
  readonly #disk: SimDisk;
  readonly #node: Node;
  readonly #path: string;
  readonly #epoch: number;
  #closed = false;

  constructor(disk: SimDisk, node: Node, path: string, epoch: number) {
    this.#disk = disk;
    this.#node = node;
    this.#path = path;
    this.#epoch = epoch;
  }

  async write(position: number, bytes: Uint8Array): Promise<void> {
    await this.#begin("write");
    const { full, halfWrites, space } = this.#disk.faults;
    const grows = position + bytes.length > this.#node.current.bytes.length;
    space?.needToWrite(this.#path, grows);
    if (full && grows) {
      throw new DiskFull(`write ${this.#path}: ENOSPC`);
    }
    const short = this.#disk.takeShort();
    const stored = halfWrites || short ? bytes.subarray(0, bytes.length >>> 1) : bytes;
    change(this.#node, { kind: "write", position, bytes: stored.slice() });
    if (short) throw new DiskFull(`write ${this.#path}: ENOSPC after ${stored.length} bytes`);
  }

  async sync(): Promise<void> {
    // Writes during the sync are not covered by it.
    const covered = this.#node.pending.length;
    let operations: FileOperation[] = [];
    try {
      await this.#begin("sync");
    } finally {
      // A failed sync marks the pages clean: readable, but a later sync does not write them.
      operations = this.#node.pending.splice(0, covered);
    }
    this.#disk.checkSync(this.#path);
    for (const operation of operations) this.#node.durable.apply(operation);
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    await this.#begin("read");
    this.#disk.checkRead(this.#path);
    return this.#node.current.bytes.slice(position, position + length);
  }

  async size(): Promise<number> {
    await this.#begin("size");
    return this.#node.current.bytes.length;
  }

  async truncate(size: number): Promise<void> {
    await this.#begin("truncate");
    change(this.#node, { kind: "truncate", size });
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  async #begin(operation: string): Promise<void> {
    this.#checkOpen(operation);
    await this.#disk.begin(operation, this.#path, this.#epoch);
    // The number of a file that is closed meanwhile may be that of another one.
    this.#checkOpen(operation);
  }

  #checkOpen(operation: string): void {
    if (this.#closed) throw new Error(`${operation} on the closed file ${this.#path}`);
  }
}

class Names {
  readonly files = new Map<string, Node>();
  readonly directories = new Set<string>();

  hasDirectory(path: string): boolean {
    return path === "" || this.directories.has(path);
  }

  copy(): Names {
    const copy = new Names();
    for (const [path, node] of this.files) copy.files.set(path, node);
    for (const path of this.directories) copy.directories.add(path);
    return copy;
  }

  list(directory: string): string[] {
    const prefix = directory === "" ? "" : `${directory}/`;
    const names: string[] = [];
    for (const path of [...this.files.keys(), ...this.directories]) {
      if (path.startsWith(prefix) && path !== directory && !path.slice(prefix.length).includes("/"))
        names.push(path.slice(prefix.length));
    }
    return names.sort();
  }

  apply(operation: NameOperation): void {
    if (operation.kind === "link") this.files.set(operation.path, operation.node);
    else if (operation.kind === "directory") this.directories.add(operation.path);
    else if (operation.kind === "unlink") {
      this.files.delete(operation.path);
      this.directories.delete(operation.path);
    } else {
      if (this.files.get(operation.from) === operation.node) this.files.delete(operation.from);
      this.files.set(operation.to, operation.node);
    }
  }

  /** A file in a directory that did not survive is gone. */
  dropOrphans(): void {
    for (const path of [...this.directories].sort()) {
      if (!this.hasDirectory(parentOf(path))) this.directories.delete(path);
    }
    for (const path of [...this.files.keys()]) {
      if (!this.hasDirectory(parentOf(path))) this.files.delete(path);
    }
  }
}

function change(node: Node, operation: FileOperation): void {
  node.current.apply(operation);
  node.pending.push(operation);
}

function touches(operation: NameOperation, directory: string): boolean {
  if (operation.kind !== "rename") return parentOf(operation.path) === directory;
  return parentOf(operation.from) === directory || parentOf(operation.to) === directory;
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "" : path.slice(0, slash);
}
