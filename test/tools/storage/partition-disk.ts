import {
  type Disk,
  DiskFailure,
  type DiskFile,
  DiskFull,
  type DiskSpace,
} from "../../../src/env/disk.ts";
import type { Random } from "../random.ts";

type Inode = { id: number; bytes: Uint8Array; length: number };
type Change =
  | { kind: "write"; inode: number; position: number; bytes: Uint8Array }
  | { kind: "truncate"; inode: number; size: number }
  | { kind: "sync"; inode: number }
  | { kind: "link"; directory: string; name: string; inode: number }
  | { kind: "unlink"; directory: string; name: string }
  | { kind: "rename"; directory: string; from: string; to: string }
  | { kind: "syncDirectory"; directory: string };

/** The effect of a crash on changes that were not synced. */
export type CrashRule = "lost" | "kept" | Random;

const split = (path: string): [string, string] => {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? ["", path] : [path.slice(0, slash), path.slice(slash + 1)];
};

/**
 * A disk in memory that remembers every change, so that a test can ask what a crash after the first
 * n changes may leave. Directories are entries of their parent with inode −1.
 */
export class PartitionDisk implements Disk {
  readonly changes: Change[] = [];
  readonly #inodes = new Map<number, Inode>();
  readonly #directories = new Map<string, Map<string, number>>([["", new Map()]]);
  #nextInode = 1;
  reads = 0;
  bytesRead = 0;
  /** Bytes that may still be written before the disk is full. */
  room = Number.POSITIVE_INFINITY;
  /** Called before each operation; may throw, or wait. */
  before: ((operation: string, path: string) => Promise<void> | void) | null = null;

  async open(path: string, mode: "create" | "existing" | "truncate"): Promise<DiskFile> {
    await this.before?.("open", path);
    await null;
    const [directory, name] = split(path);
    const entries = this.#entries(directory);
    let id = entries.get(name);
    if (mode === "create" && id !== undefined) throw new DiskFailure(`${path} exists`);
    if (mode === "existing" && id === undefined) throw new DiskFailure(`no ${path}`);
    if (id === undefined) {
      id = this.#nextInode++;
      this.#apply({ kind: "link", directory, name, inode: id });
    } else if (mode === "truncate") {
      this.#apply({ kind: "truncate", inode: id, size: 0 });
    }
    return new MemoryFile(this, path, id);
  }

  async readWhole(path: string): Promise<Uint8Array | null> {
    await null;
    return this.whole(path);
  }

  async readRange(path: string, position: number, length: number): Promise<Uint8Array> {
    const file = await this.open(path, "existing");
    return await file.read(position, length);
  }

  whole(path: string): Uint8Array | null {
    const [directory, name] = split(path);
    const id = this.#directories.get(directory)?.get(name);
    if (id === undefined) return null;
    const inode = this.inode(id);
    return inode.bytes.slice(0, inode.length);
  }

  async writeWhole(path: string, bytes: Uint8Array): Promise<void> {
    const file = await this.open(`${path}.tmp`, "truncate");
    await file.write(0, bytes);
    await file.sync();
    await this.rename(`${path}.tmp`, path);
    await this.syncDirectory(split(path)[0]);
  }

  async list(directory: string): Promise<string[]> {
    await null;
    return [...(this.#directories.get(directory)?.keys() ?? [])].sort();
  }

  async makeDirectory(path: string): Promise<void> {
    await null;
    const parts = path.split("/");
    for (let i = 0; i < parts.length; i++) {
      const directory = parts.slice(0, i).join("/");
      const name = parts[i] ?? "";
      if (this.#entries(directory).has(name)) continue;
      this.#apply({ kind: "link", directory, name, inode: -1 });
    }
  }

  async remove(path: string): Promise<void> {
    await this.before?.("remove", path);
    await null;
    const [directory, name] = split(path);
    if (this.#directories.get(directory)?.has(name)) {
      this.#apply({ kind: "unlink", directory, name });
    }
  }

  async removeTree(path: string): Promise<void> {
    for (const name of await this.list(path)) {
      const inner = `${path}/${name}`;
      if (this.#directories.has(inner)) await this.removeTree(inner);
      else await this.remove(inner);
    }
    const [directory, name] = split(path);
    if (this.#directories.get(directory)?.has(name)) {
      this.#apply({ kind: "unlink", directory, name });
    }
  }

  async rename(from: string, to: string): Promise<void> {
    await this.before?.("rename", from);
    await null;
    const [directory, name] = split(from);
    this.#apply({ kind: "rename", directory, from: name, to: split(to)[1] });
  }

  async syncDirectory(path: string): Promise<void> {
    await this.before?.("syncDirectory", path);
    await null;
    this.#entries(path);
    this.#apply({ kind: "syncDirectory", directory: path });
  }

  async space(): Promise<DiskSpace> {
    return { freeBytes: this.room, totalBytes: this.room };
  }

  inode(id: number): Inode {
    let inode = this.#inodes.get(id);
    if (inode === undefined) {
      inode = { id, bytes: new Uint8Array(256), length: 0 };
      this.#inodes.set(id, inode);
    }
    return inode;
  }

  write(id: number, position: number, bytes: Uint8Array): void {
    if (bytes.length > this.room) throw new DiskFull("no room");
    this.room -= bytes.length;
    this.#apply({ kind: "write", inode: id, position, bytes: bytes.slice() });
  }

  change(change: Change): void {
    this.#apply(change);
  }

  /** Changes one bit of a file behind everybody's back, for good. */
  flip(path: string, position: number, bit: number): void {
    const [directory, name] = split(path);
    const inode = this.#directories.get(directory)?.get(name) ?? -2;
    const byte = this.inode(inode).bytes[position] ?? 0;
    this.#apply({ kind: "write", inode, position, bytes: Uint8Array.of(byte ^ (1 << bit)) });
    this.#apply({ kind: "sync", inode });
  }

  files(): string[] {
    const found: string[] = [];
    for (const [directory, entries] of this.#directories) {
      for (const [name, id] of entries) if (id >= 0) found.push(`${directory}/${name}`);
    }
    return found.sort();
  }

  /** A disk as it is now, without the memory of how it came about. */
  copy(): PartitionDisk {
    return this.crash(this.changes.length, "kept");
  }

  /** The disks that are possible after a crash behind the first `count` changes. */
  crash(count: number, rule: CrashRule): PartitionDisk {
    const { durable, unsynced } = sortOut(this.changes.slice(0, count));
    const image = new PartitionDisk();
    for (const change of durable) image.#replay(change);
    for (const change of unsynced) {
      if (rule === "kept") image.#replay(change);
      else if (rule !== "lost") image.#replayPerhaps(change, rule);
    }
    image.#settle(this.#nextInode);
    return image;
  }

  /** Writes down what is there as changes that are durable, so that the image can crash again. */
  #settle(nextInode: number): void {
    this.#dropUnreachable();
    this.#nextInode = nextInode;
    for (const [directory, entries] of this.#directories) {
      for (const [name, inode] of entries) {
        this.changes.push({ kind: "link", directory, name, inode });
      }
    }
    for (const inode of this.#inodes.values()) {
      const bytes = inode.bytes.slice(0, inode.length);
      this.changes.push({ kind: "write", inode: inode.id, position: 0, bytes });
      this.changes.push({ kind: "sync", inode: inode.id });
    }
    for (const directory of this.#directories.keys()) {
      this.changes.push({ kind: "syncDirectory", directory });
    }
  }

  #replayPerhaps(change: Change, random: Random): void {
    const luck = random.below(3);
    if (luck === 0) return;
    if (luck === 1 && change.kind === "write") {
      const torn = change.bytes.slice(0, random.below(change.bytes.length + 1));
      this.#replay({ ...change, bytes: torn });
    } else {
      this.#replay(change);
    }
  }

  #entries(directory: string): Map<string, number> {
    const entries = this.#directories.get(directory);
    if (entries === undefined) throw new DiskFailure(`no directory ${directory}`);
    return entries;
  }

  #apply(change: Change): void {
    this.changes.push(change);
    this.#replay(change);
  }

  #replay(change: Change): void {
    switch (change.kind) {
      case "write":
        put(this.inode(change.inode), change.position, change.bytes);
        return;
      case "truncate":
        cut(this.inode(change.inode), change.size);
        return;
      case "link":
        this.#link(change.directory, change.name, change.inode);
        return;
      case "unlink":
        this.#directories.get(change.directory)?.delete(change.name);
        this.#directories.delete(`${change.directory}/${change.name}`);
        return;
      case "rename": {
        const entries = this.#directories.get(change.directory);
        const inode = entries?.get(change.from);
        if (inode === undefined) return;
        entries?.delete(change.from);
        entries?.set(change.to, inode);
        return;
      }
      case "sync":
      case "syncDirectory":
        return;
    }
  }

  #link(directory: string, name: string, inode: number): void {
    let entries = this.#directories.get(directory);
    if (entries === undefined) {
      entries = new Map();
      this.#directories.set(directory, entries);
    }
    entries.set(name, inode);
    const path = directory === "" ? name : `${directory}/${name}`;
    if (inode === -1 && !this.#directories.has(path)) this.#directories.set(path, new Map());
  }

  /** Without its entry in the parent a directory is lost, whatever it holds. */
  #dropUnreachable(): void {
    for (const path of [...this.#directories.keys()].sort()) {
      if (path === "") continue;
      const [parent, name] = split(path);
      if (this.#directories.get(parent)?.get(name) !== -1) this.#directories.delete(path);
    }
  }
}

class MemoryFile implements DiskFile {
  readonly descriptor = null;
  readonly #disk: PartitionDisk;
  readonly #path: string;
  readonly #id: number;

  constructor(disk: PartitionDisk, path: string, id: number) {
    this.#disk = disk;
    this.#path = path;
    this.#id = id;
  }

  async write(position: number, bytes: Uint8Array): Promise<void> {
    await this.#disk.before?.("write", this.#path);
    await null;
    this.#disk.write(this.#id, position, bytes);
  }

  async sync(): Promise<void> {
    await this.#disk.before?.("sync", this.#path);
    await null;
    this.#disk.change({ kind: "sync", inode: this.#id });
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    await this.#disk.before?.("read", this.#path);
    await null;
    const inode = this.#disk.inode(this.#id);
    this.#disk.reads++;
    const bytes = inode.bytes.slice(position, Math.min(inode.length, position + length));
    this.#disk.bytesRead += bytes.length;
    return bytes;
  }

  async size(): Promise<number> {
    return this.#disk.inode(this.#id).length;
  }

  async truncate(size: number): Promise<void> {
    this.#disk.change({ kind: "truncate", inode: this.#id, size });
  }

  async close(): Promise<void> {
    await null;
  }
}

/** The durable changes, in an order with the same result, and the others in their order. */
function sortOut(changes: readonly Change[]): { durable: Change[]; unsynced: Change[] } {
  const durable: Change[] = [];
  const waiting = new Map<string | number, Change[]>();
  for (const change of changes) {
    const about = "inode" in change && change.kind !== "link" ? change.inode : change.directory;
    const others = waiting.get(about) ?? [];
    if (change.kind === "sync" || change.kind === "syncDirectory") {
      durable.push(...others);
      waiting.delete(about);
    } else {
      others.push(change);
      waiting.set(about, others);
    }
  }
  const left = new Set([...waiting.values()].flat());
  return { durable, unsynced: changes.filter((change) => left.has(change)) };
}

function put(inode: Inode, position: number, bytes: Uint8Array): void {
  const end = position + bytes.length;
  if (end > inode.bytes.length) {
    const bigger = new Uint8Array(Math.max(end, inode.bytes.length * 2));
    bigger.set(inode.bytes.subarray(0, inode.length));
    inode.bytes = bigger;
  }
  inode.bytes.set(bytes, position);
  inode.length = Math.max(inode.length, end);
}

function cut(inode: Inode, size: number): void {
  inode.bytes.fill(0, Math.min(size, inode.length));
  inode.length = size;
}
