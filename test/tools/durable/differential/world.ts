/** The streams of both servers, as far as the driver knows them. */
import type { Operation, Place } from "./operations.ts";

/** A name of a stream. After a difference that changes what is stored, it gets another path. */
export class Slot {
  readonly #name: string;
  #generation = 0;
  exists = false;
  contentType = "text/plain";
  ttlSeconds: number | null = null;
  /** The earliest and the latest time at which the last use may have been counted. */
  usedFrom = 0;
  seqs = 0;
  readonly producers = new Map<string, { epoch: number; seq: number }>();
  /** Record offset of ours by the token of theirs, for the present stream. */
  readonly offsets = new Map<string, { token: string; record: number }>();
  /** Positions of earlier streams of this path. */
  readonly old: Place[] = [];
  readonly tags = new Map<string, { ours: string; theirs: string }>();
  parent: Slot | null = null;

  constructor(name: string) {
    this.#name = name;
  }

  get path(): string {
    return this.#generation === 0 ? this.#name : `${this.#name}/${this.#generation}`;
  }

  /** The stream does not exist any more. */
  gone(): void {
    for (const [theirs, { token }] of this.offsets) {
      this.old.push({ ours: token, theirs, foreign: true });
    }
    this.old.splice(0, this.old.length - OLD_MAX);
    this.exists = false;
    this.offsets.clear();
    this.tags.clear();
    this.producers.clear();
    this.ttlSeconds = null;
    this.seqs = 0;
    this.parent = null;
  }

  rename(): void {
    this.gone();
    this.old.length = 0;
    this.#generation++;
  }
}

const OLD_MAX = 20;
const SLOTS = ["a", "b", "chat/1", "chat/2", "ü b", "x", "y", "z"];

export class World {
  readonly slots: readonly Slot[] = SLOTS.map((name) => new Slot(name));

  placesOf(slot: Slot): readonly Place[] {
    return [...slot.offsets].map(([theirs, { token }]) => ({
      ours: token,
      theirs,
      foreign: false,
    }));
  }

  /** Both servers may have taken different turns, so all goes on under other paths. */
  renameAll(): void {
    for (const slot of this.slots) slot.rename();
  }

  /** @returns what is wrong with the pair of offsets; null if it fits those before. */
  learn(slot: Slot, theirs: string, token: string): string | null {
    const record = Number(token.slice(17));
    const known = slot.offsets.get(theirs);
    if (known !== undefined && known.record !== record) {
      return `offset ${theirs} was record ${known.record} and is ${record}`;
    }
    for (const [before, { record: its }] of slot.offsets) {
      if (before < theirs && its > record) return `offset ${theirs} is before ${before}`;
    }
    slot.offsets.set(theirs, { token, record });
    return null;
  }

  /** Notes what an operation that both servers have answered in the same way has changed. */
  note({ method, slot, headers, forkFrom, forkOffset }: Operation, status: number): void {
    if (method === "DELETE" && status === 204) slot.gone();
    if (status === 404 && forkFrom === null) slot.gone();
    if (method === "PUT" && status === 201) {
      slot.gone();
      slot.exists = true;
      const ttl = headers["stream-ttl"];
      slot.ttlSeconds = ttl === undefined ? null : Number(ttl);
      if (forkFrom !== null) this.#inherit(slot, forkFrom, headers, forkOffset);
    }
    if (method === "POST" && status < 300) this.#noteProducer(slot, headers);
  }

  #noteProducer(slot: Slot, headers: Operation["headers"]): void {
    const id = headers["producer-id"];
    if (id !== undefined) {
      const epoch = Number(headers["producer-epoch"]);
      const seq = Number(headers["producer-seq"]);
      const known = slot.producers.get(id);
      if (known === undefined || epoch > known.epoch || seq > known.seq) {
        slot.producers.set(id, { epoch, seq });
      }
    }
  }

  #inherit(
    slot: Slot,
    source: Slot,
    headers: Operation["headers"],
    forkOffset: Place | null,
  ): void {
    slot.parent = source;
    slot.contentType = source.contentType;
    if (headers["stream-ttl"] === undefined && headers["stream-expires-at"] === undefined) {
      slot.ttlSeconds = source.ttlSeconds;
    }
    const end = forkOffset === null || forkOffset.theirs === "" ? null : forkOffset.theirs;
    for (const [theirs, known] of source.offsets) {
      if (end === null || theirs <= end) slot.offsets.set(theirs, known);
    }
  }
}
