/** The answers that clients of durable streams got, and the rules that hold at any time and in the end. */
import { SimViolation } from "./cluster.ts";

/** A token as the ledger sees it. */
export type At = { readonly streamId: number; readonly record: number };

export const atOf = (token: string): At => ({
  streamId: Number(token.slice(0, 16)),
  record: Number(token.slice(17)),
});

/** One life of a path: from its creation to its deletion. */
class Incarnation {
  readonly path: string;
  /** Acknowledged values by their record. */
  readonly acked = new Map<number, string>();
  /** Acknowledged as duplicates, so that the place is not known. */
  readonly somewhere = new Set<string>();
  /** The highest end that an answer has named. */
  end = 0;
  closed = false;
  /** The first record of its own; records below are those of `parent`. */
  base = 0;
  parent: number | null = null;

  constructor(path: string) {
    this.path = path;
  }
}

/** The knowledge of all clients when a request was sent. Its answer must not be older. */
export type Known = {
  readonly ends: ReadonlyMap<number, number>;
  readonly closed: ReadonlySet<number>;
  readonly dead: ReadonlySet<number>;
};

export class StreamLedger {
  readonly #streams = new Map<number, Incarnation>();
  /** Streams that are known to be deleted. */
  readonly #dead = new Set<number>();
  /** Paths that were asked to be deleted, whatever came of it. */
  readonly #endangered = new Set<string>();
  /** Values that were sent. */
  readonly #sent = new Set<string>();
  /** Values that were refused, so that nothing may be stored. */
  readonly #refused = new Set<string>();
  readonly counts = { appends: 0, duplicates: 0, gone: 0, closed: 0, forks: 0, deleted: 0 };

  known(): Known {
    return {
      ends: new Map([...this.#streams].map(([id, { end }]) => [id, end])),
      closed: new Set([...this.#streams].filter(([, { closed }]) => closed).map(([id]) => id)),
      dead: new Set(this.#dead),
    };
  }

  /** Tokens of records that were acknowledged in streams of a path, dead ones too. */
  tokensOf(path: string): readonly At[] {
    const tokens: At[] = [];
    for (const [streamId, each] of this.#streams) {
      if (each.path !== path) continue;
      tokens.push({ streamId, record: each.end });
      for (const record of each.acked.keys()) tokens.push({ streamId, record });
    }
    return tokens;
  }

  isDead(streamId: number): boolean {
    return this.#dead.has(streamId);
  }

  sends(value: string): void {
    this.#sent.add(value);
  }

  refused(value: string): void {
    this.#refused.add(value);
  }

  /** The stream of the path had this end when the answer was given, after `known`. */
  sawEnd(path: string, { streamId, record }: At, closed: boolean, known: Known): void {
    const each = this.#incarnation(path, streamId);
    if (known.dead.has(streamId)) fail("stream deleted", `${path}: ${streamId} is there again`);
    const before = known.ends.get(streamId) ?? 0;
    if (record < before) {
      fail("stream end", `${path}: ${streamId} ends at ${record}, it ended at ${before} before`);
    }
    if (known.closed.has(streamId) && !closed) {
      fail("stream closed", `${path}: ${streamId} is open, it was closed before`);
    }
    each.end = Math.max(each.end, record);
    if (closed) this.#close(each);
  }

  forked(path: string, at: At, parent: number): void {
    const each = this.#incarnation(path, at.streamId);
    each.end = Math.max(each.end, at.record);
    each.base = at.record;
    each.parent = parent;
    this.counts.forks++;
  }

  appended(path: string, value: string, end: At, duplicate: boolean, known: Known): void {
    const each = this.#incarnation(path, end.streamId);
    this.counts.appends++;
    if (duplicate) {
      this.counts.duplicates++;
      each.somewhere.add(value);
    } else {
      if (known.closed.has(end.streamId)) {
        fail("stream closed", `${path}: ${value} was appended to ${end.streamId}, which is closed`);
      }
      const record = end.record - 1;
      const other = each.acked.get(record);
      if (other !== undefined && other !== value) {
        fail("stream append", `${path}: ${value} and ${other} are both record ${record}`);
      }
      each.acked.set(record, value);
    }
    if (known.dead.has(end.streamId)) {
      fail("stream deleted", `${path}: ${value} was appended to ${end.streamId}, which is deleted`);
    }
    each.end = Math.max(each.end, end.record);
  }

  closes(path: string, end: At): void {
    const each = this.#incarnation(path, end.streamId);
    each.end = Math.max(each.end, end.record);
    this.#close(each);
  }

  /** A deletion may happen from now on. */
  endangers(path: string): void {
    this.#endangered.add(path);
  }

  /** A deletion was acknowledged: all streams of the path that were known when it was sent are gone. */
  deleted(path: string, known: Known): void {
    this.counts.deleted++;
    for (const streamId of known.ends.keys()) {
      if (this.#streams.get(streamId)?.path === path) this.#dead.add(streamId);
    }
  }

  /** A read with a token: what may come of it. */
  readFrom(path: string, from: At, page: Page, known: Known): void {
    if (page.code !== null) {
      if (page.code === "offset_gone") this.counts.gone++;
      return;
    }
    const { streamId } = atOf(page.next);
    if (known.dead.has(streamId)) fail("stream deleted", `${path}: ${streamId} was read`);
    const each = this.#incarnation(path, streamId);
    if (streamId !== from.streamId && !this.#isAbove(each, from.streamId)) {
      fail("stream token", `${path}: a token of ${from.streamId} was answered by ${streamId}`);
    }
    this.#sawRecords(path, streamId, from.record, page.values);
    if (page.upToDate) this.sawEnd(path, atOf(page.next), page.closed, known);
  }

  #isAbove(each: Incarnation, streamId: number): boolean {
    for (let at = each.parent; at !== null; at = this.#streams.get(at)?.parent ?? null) {
      if (at === streamId) return true;
    }
    // Parents of forks with an unknown outcome are not known.
    return each.parent === null && each.path.startsWith(FORKS);
  }

  #sawRecords(path: string, streamId: number, from: number, values: readonly string[]): void {
    const each = this.#incarnation(path, streamId);
    for (const [i, value] of values.entries()) {
      const acked = each.acked.get(from + i);
      if (acked !== undefined && acked !== value) {
        fail("stream record", `${path}: record ${from + i} is ${value}, ${acked} was acknowledged`);
      }
      this.#checkValue(path, value);
    }
  }

  #checkValue(path: string, value: string): void {
    if (this.#refused.has(value)) fail("stream refused", `${path}: ${value} was refused`);
    if (!this.#sent.has(value)) fail("stream invented", `${path}: ${value} was never sent`);
  }

  /** Judges the stream of a path as a node holds it in the end; null: there is none. */
  judge(path: string, found: Found | null): void {
    if (found !== null) {
      this.#judgeRecords(path, found);
      return;
    }
    const lost = [...this.#streams].filter(
      ([id, each]) => each.path === path && !this.#dead.has(id),
    );
    if (lost.length > 0 && !this.#endangered.has(path)) {
      fail("stream lost", `${path}: ${lost.map(([id]) => id)} is not there, and was never deleted`);
    }
  }

  #judgeRecords(path: string, { streamId, values, closed }: Found): void {
    if (this.#dead.has(streamId)) fail("stream deleted", `${path}: ${streamId} is there`);
    const each = this.#incarnation(path, streamId);
    this.#sawRecords(path, streamId, 0, values);
    if (values.length < each.end) {
      fail("stream lost", `${path}: ${streamId} has ${values.length} records, it had ${each.end}`);
    }
    for (const [record, value] of each.acked) {
      if (values[record] !== value) {
        fail("stream lost", `${path}: record ${record} is ${values[record]}, not ${value}`);
      }
    }
    const own = values.slice(each.base);
    if (new Set(values).size !== values.length) {
      const twice = values.find((value, at) => values.indexOf(value) !== at);
      fail("stream twice", `${path}: ${twice} is stored twice`);
    }
    for (const value of each.somewhere) {
      if (!own.includes(value))
        fail("stream lost", `${path}: ${value} was a duplicate, it is absent`);
    }
    if (each.closed && !closed) fail("stream closed", `${path}: ${streamId} is open`);
    this.#judgeFork(path, each, values);
  }

  #judgeFork(path: string, { parent, base }: Incarnation, values: readonly string[]): void {
    if (parent === null) return;
    for (const [record, value] of this.#streams.get(parent)?.acked ?? []) {
      if (record < base && values[record] !== value) {
        fail(
          "stream fork",
          `${path}: record ${record} is ${values[record]}, its source has ${value}`,
        );
      }
    }
  }

  #close(each: Incarnation): void {
    if (!each.closed) this.counts.closed++;
    each.closed = true;
  }

  #incarnation(path: string, streamId: number): Incarnation {
    const known = this.#streams.get(streamId);
    if (known !== undefined) {
      if (known.path !== path) fail("stream path", `${streamId} is of ${known.path} and ${path}`);
      return known;
    }
    const each = new Incarnation(path);
    this.#streams.set(streamId, each);
    return each;
  }
}

/** Paths of forks begin with it. */
export const FORKS = "fork/";

export type Page = {
  /** Null: the page was read. */
  readonly code: string | null;
  readonly values: readonly string[];
  readonly next: string;
  readonly upToDate: boolean;
  readonly closed: boolean;
};
export type Found = {
  readonly streamId: number;
  readonly values: readonly string[];
  readonly closed: boolean;
};

function fail(rule: string, message: string): never {
  throw new SimViolation(rule, message);
}
