/**
 * The streams that a subscription watches, with its position in each. One subscription may watch every
 * stream there is, so an entry is a number as long as its position fits into one. The entries are spread over buckets, and a copy shares the buckets of the original
 * until it changes them, so that no command copies all of them.
 */
import { assert } from "../../lib/assert.ts";
import { type Position, parseToken, tokenOf } from "../offset-token.ts";

/** A stream that a subscription watches. */
export type Link = {
  readonly byName: boolean;
  readonly byPattern: boolean;
  /** Everything before it was processed. `-1`: nothing. */
  readonly acked: string;
};

type Bucket = Map<string, number | Link>;

const BY_NAME = 1;
const BY_PATTERN = 2;
/** A packed link has 28 bits of the id of the stream, 23 of the offset, and 2 of flags. */
const FLAGS = 4;
const OFFSETS = 2 ** 23;
const STREAMS = 2 ** 28;
/** Average size of a bucket from which on one is split. */
const BUCKET_ENTRIES = 256;

export class LinkTable {
  #buckets: Bucket[] = [new Map()];
  /** Buckets that no other table has. */
  #owned: boolean[] = [true];
  #size = 0;
  /** The largest power of two that is at most the number of buckets. */
  #level = 1;
  /** The few that are watched by their names. */
  readonly #names: Set<string>;

  constructor(names: Iterable<string> = []) {
    this.#names = new Set(names);
  }

  get size(): number {
    return this.#size;
  }

  /** The streams that are watched by their names. */
  get names(): ReadonlySet<string> {
    return this.#names;
  }

  has(path: string): boolean {
    return this.#bucketOf(path).has(path);
  }

  get(path: string): Link | undefined {
    const packed = this.#bucketOf(path).get(path);
    return packed === undefined ? undefined : unpacked(packed);
  }

  set(path: string, link: Link): void {
    this.#put(path, packed(link), link.byName);
  }

  /** As `set`, with the token of an offset. */
  setAt(path: string, by: Omit<Link, "acked">, { streamId, offset }: Position): void {
    const link = packedAt(by, streamId, offset) ?? { ...by, acked: tokenOf(streamId, offset) };
    this.#put(path, link, by.byName);
  }

  #put(path: string, link: number | Link, byName: boolean): void {
    const bucket = this.#ownBucketOf(path);
    const { size } = bucket;
    if (byName) this.#names.add(path);
    else if (this.#names.size > 0) this.#names.delete(path);
    bucket.set(path, link);
    if (bucket.size === size) return;
    this.#size++;
    if (this.#size > BUCKET_ENTRIES * this.#buckets.length) this.#split();
  }

  delete(path: string): void {
    if (!this.has(path)) return;
    this.#names.delete(path);
    this.#ownBucketOf(path).delete(path);
    this.#size--;
  }

  /** Makes space for many links in an empty table, so that no bucket is split while they are added. */
  reserve(links: number): void {
    assert(this.#size === 0 && this.#buckets.length === 1, "the table is empty");
    while (BUCKET_ENTRIES * this.#level < links) this.#level *= 2;
    while (this.#buckets.length < this.#level) this.#buckets.push(new Map());
    this.#owned = this.#buckets.map(() => true);
  }

  /** Links only move to buckets with higher numbers. */
  get buckets(): number {
    return this.#buckets.length;
  }

  /**
   * Calls `each` with the path and the position of the links of a bucket, without making texts of the
   * positions. A position that is not a token of the usual form comes as its link.
   */
  visit(bucket: number, each: (path: string, position: Readonly<Position> | Link) => void): void {
    const position = { streamId: 0, offset: 0 };
    for (const [path, link] of this.#buckets[bucket] ?? []) {
      if (typeof link !== "number") {
        each(path, link);
        continue;
      }
      const place = Math.floor(link / FLAGS);
      position.streamId = Math.floor(place / OFFSETS);
      position.offset = place % OFFSETS;
      each(path, position);
    }
  }

  /** Yields all links, in an order that depends on the history. */
  *[Symbol.iterator](): Generator<[string, Link]> {
    for (const bucket of this.#buckets) {
      for (const [path, link] of bucket) yield [path, unpacked(link)];
    }
  }

  /** Returns a table with the same links. Changes of one are not seen in the other. */
  copy(): LinkTable {
    const copy = new LinkTable(this.#names);
    copy.#buckets = this.#buckets.slice();
    copy.#owned = this.#buckets.map(() => false);
    this.#owned = this.#buckets.map(() => false);
    copy.#size = this.#size;
    copy.#level = this.#level;
    return copy;
  }

  #bucketOf(path: string): Bucket {
    return this.#buckets[this.#numberOf(path)] as Bucket;
  }

  #ownBucketOf(path: string): Bucket {
    return this.#own(this.#numberOf(path));
  }

  #own(number: number): Bucket {
    const bucket = this.#buckets[number] as Bucket;
    if (this.#owned[number] === true) return bucket;
    const copy = new Map(bucket);
    this.#buckets[number] = copy;
    this.#owned[number] = true;
    return copy;
  }

  /** Linear hashing: the buckets below the last power of two are split one after the other. */
  #numberOf(path: string): number {
    const count = this.#buckets.length;
    if (count === 1) return 0;
    const hash = hashOf(path);
    const wide = hash & (2 * this.#level - 1);
    return wide < count ? wide : hash & (this.#level - 1);
  }

  #split(): void {
    const count = this.#buckets.length;
    const from = count - this.#level;
    const bucket = this.#own(from);
    const added: Bucket = new Map();
    this.#buckets.push(added);
    this.#owned.push(true);
    if (this.#buckets.length === 2 * this.#level) this.#level *= 2;
    for (const [path, link] of bucket) {
      const number = this.#numberOf(path);
      if (number === from) continue;
      assert(number === count, "an entry stays or moves to the new bucket");
      added.set(path, link);
      bucket.delete(path);
    }
  }
}

function packed(link: Link): number | Link {
  const position = parseToken(link.acked);
  if (position === null) return link;
  const { streamId, offset } = position;
  // A client may write a token with fewer digits.
  if (link.acked !== tokenOf(streamId, offset)) return link;
  return packedAt(link, streamId, offset) ?? link;
}

/** @returns null if the position does not fit. */
function packedAt(
  { byName, byPattern }: Omit<Link, "acked">,
  streamId: number,
  offset: number,
): number | null {
  if (streamId >= STREAMS || offset >= OFFSETS) return null;
  const flags = (byName ? BY_NAME : 0) | (byPattern ? BY_PATTERN : 0);
  return (streamId * OFFSETS + offset) * FLAGS + flags;
}

function unpacked(link: number | Link): Link {
  if (typeof link !== "number") return link;
  const flags = link % FLAGS;
  const place = Math.floor(link / FLAGS);
  return {
    byName: (flags & BY_NAME) !== 0,
    byPattern: (flags & BY_PATTERN) !== 0,
    acked: tokenOf(Math.floor(place / OFFSETS), place % OFFSETS),
  };
}

/** FNV-1a, 32 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  // The low bits choose the bucket, and the last characters change them least.
  return (hash ^ (hash >>> 15)) >>> 0;
}
