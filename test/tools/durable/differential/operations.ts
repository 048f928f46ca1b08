/** Random requests to durable streams, for two servers that name offsets in different ways. */
import type { Random } from "../../random.ts";
import type { Slot, World } from "./world.ts";

/** A position that both servers have given, or a text that is the same for both. */
export type Place = { readonly ours: string; readonly theirs: string; readonly foreign: boolean };

export type Operation = {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  readonly slot: Slot;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  readonly offset: Place | null;
  readonly forkFrom: Slot | null;
  readonly forkOffset: Place | null;
  /** Sends the ETag of the last read of the same place. */
  readonly conditional: boolean;
  readonly live: boolean;
  /** Properties that explanations of differences ask for. */
  readonly tags: ReadonlySet<string>;
};

const TYPES = [
  "text/plain",
  "application/json",
  "application/octet-stream",
  "application/json; charset=utf-8",
  "TEXT/PLAIN",
  "application/x-ndjson",
  "application/jsonl",
];
const BAD_TYPES = ["", "text", "/", "text plain"];
export const TTL_SECONDS = 2;
const PRODUCERS = ["p", "q", "a producer"];
const GARBAGE = ["", "x", "-2", "0", "now ", "1_", "1_2_3", "..", "%", "-1_0"];

const same = (text: string): Place => ({ ours: text, theirs: text, foreign: false });
export const ZERO = "0000000000000000_0000000000000000";

export function drawOperation(random: Random, world: World): Operation {
  const slot = random.pick(world.slots);
  const dice = random.below(100);
  if (!slot.exists && dice < 60) {
    return dice < 25 ? forkOf(random, world, slot) : create(random, world, slot);
  }
  if (dice < 9) return create(random, world, slot);
  if (dice < 16) return forkOf(random, world, slot);
  if (dice < 57) return append(random, slot);
  if (dice < 61) return close(random, slot);
  if (dice < 64) return plain("DELETE", slot);
  if (dice < 71) return plain("HEAD", slot);
  return read(random, world, slot);
}

const NOTHING = {
  headers: {},
  body: null,
  offset: null,
  forkFrom: null,
  forkOffset: null,
  conditional: false,
  live: false,
  tags: new Set<string>(),
} as const;

const plain = (method: Operation["method"], slot: Slot): Operation => ({
  ...NOTHING,
  method,
  slot,
});

function create(random: Random, _world: World, slot: Slot): Operation {
  const tags = new Set<string>();
  const again = slot.exists && random.below(3) === 0;
  const type = again ? slot.contentType : random.pick(TYPES);
  const headers: Record<string, string> = { "content-type": type };
  if (random.below(12) === 0) headers["content-type"] = random.pick(BAD_TYPES);
  life(random, headers, tags);
  if (again && slot.ttlSeconds !== null) headers["stream-ttl"] = String(slot.ttlSeconds);
  if (random.below(12) === 0) headers["stream-closed"] = random.pick(["true", "false", "TRUE"]);
  if (random.below(30) === 0) {
    headers["stream-fork-sub-offset"] = "1";
  }
  const body = random.below(2) === 0 ? bodyFor(random, type, tags) : null;
  return { ...NOTHING, method: "PUT", slot, headers, body, tags };
}

function life(random: Random, headers: Record<string, string>, tags: Set<string>): void {
  const dice = random.below(30);
  if (dice < 3) headers["stream-ttl"] = String(TTL_SECONDS);
  else if (dice < 5) headers["stream-ttl"] = "3600";
  else if (dice < 6) headers["stream-expires-at"] = "2099-01-31T12:00:00Z";
  else if (dice < 7) {
    headers["stream-ttl"] = random.pick(["-1", "01", "1.5", "1e3", "+1", "ten"]);
    tags.add("malformed");
  } else if (dice < 8) {
    headers["stream-expires-at"] = random.pick(["tomorrow", "2099-13-01T00:00:00Z"]);
    tags.add("malformed");
  } else if (dice < 9) {
    headers["stream-ttl"] = "60";
    headers["stream-expires-at"] = "2099-01-31T12:00:00Z";
    tags.add("malformed");
  }
}

function forkOf(random: Random, world: World, slot: Slot): Operation {
  // A fork of before is made again now and then.
  const isAgain = slot.parent !== null && random.below(2) === 0;
  const source = isAgain ? (slot.parent ?? slot) : random.pick(world.slots);
  const tags = new Set<string>();
  const headers: Record<string, string> = {};
  if (random.below(4) === 0) headers["content-type"] = random.pick(TYPES);
  life(random, headers, tags);
  const dice = isAgain ? 0 : random.below(10);
  const known = world.placesOf(source);
  const offset =
    dice < 4
      ? null
      : dice < 8 && known.length > 0
        ? random.pick(known)
        : same(random.pick([ZERO, "", "x", `${"9".repeat(16)}_${"9".repeat(16)}`]));
  if (offset?.ours === "x") tags.add("malformed");
  if (random.below(4) === 0) {
    const sub = random.pick(["0", "1", "2", "5", "01", "-1", "x"]);
    headers["stream-fork-sub-offset"] = sub;
    if (!/^(0|[1-9]\d*)$/.test(sub)) tags.add("malformed");
  }
  const body = random.below(3) === 0 ? bodyFor(random, source.contentType, tags) : null;
  return {
    ...NOTHING,
    method: "PUT",
    slot,
    headers,
    body,
    forkFrom: source,
    forkOffset: offset,
    tags,
  };
}

function append(random: Random, slot: Slot): Operation {
  const tags = new Set<string>();
  const isOther = random.below(15) === 0;
  const type = isOther ? random.pick([...TYPES, ...BAD_TYPES]) : slot.contentType;
  const headers: Record<string, string> = type === "" ? {} : { "content-type": type };
  const body = random.below(25) === 0 ? null : bodyFor(random, type, tags);
  if (random.below(4) === 0) headers["stream-seq"] = seqOf(random, slot);
  if (random.below(2) === 0) numbered(random, slot, headers, tags);
  if (random.below(40) === 0) headers["stream-closed"] = random.pick(["true", "false", "1"]);
  if (body === null) tags.add("empty");
  return { ...NOTHING, method: "POST", slot, headers, body, tags };
}

function close(random: Random, slot: Slot): Operation {
  const tags = new Set(["close"]);
  const headers: Record<string, string> = { "stream-closed": "true" };
  if (random.below(3) === 0) headers["content-type"] = random.pick(TYPES);
  if (random.below(2) === 0) numbered(random, slot, headers, tags);
  return { ...NOTHING, method: "POST", slot, headers, tags };
}

function seqOf(random: Random, slot: Slot): string {
  const n = slot.seqs + random.pick([-1, 0, 1, 1, 1, 1, 2]);
  slot.seqs = Math.max(slot.seqs, n);
  return String(Math.max(0, n)).padStart(6, "0");
}

function numbered(
  random: Random,
  slot: Slot,
  headers: Record<string, string>,
  tags: Set<string>,
): void {
  const id = random.pick(PRODUCERS);
  const known = slot.producers.get(id) ?? { epoch: 0, seq: -1 };
  const epoch = Math.max(0, known.epoch + random.pick([0, 0, 0, 0, 0, 0, -1, 1]));
  const seq =
    epoch > known.epoch
      ? random.pick([0, 0, 0, 1])
      : known.seq + random.pick([1, 1, 1, 1, 1, 0, -1, 2]);
  headers["producer-id"] = id;
  headers["producer-epoch"] = String(epoch);
  headers["producer-seq"] = String(Math.max(0, seq));
  const dice = random.below(40);
  if (dice === 0) delete headers["producer-seq"];
  else if (dice === 1) headers["producer-epoch"] = "1e3";
  else if (dice === 2) headers["producer-seq"] = "-1";
  else if (dice === 3) headers["producer-seq"] = "9007199254740993";
  if (dice < 4) tags.add("malformed");
}

const JSON_BODIES = [
  "1",
  '"text"',
  "null",
  '{"a":[1,2,{"b":"ü"}]}',
  "[1,2,3]",
  '[{"x":1},{"x":2}]',
  "[[1,2],[3]]",
  ' [ 1 , "two" ] ',
  "\n7\n",
];
const BAD_JSON = ["[]", "{", "[1,]", "1 2", "undefined", "[[]"];

function bodyFor(random: Random, type: string, tags: Set<string>): string {
  const isJson = /^application\/json\s*(;|$)/i.test(type);
  if (isJson && random.below(12) === 0) {
    const bad = random.pick(BAD_JSON);
    tags.add(bad === "[]" ? "empty array" : "bad json");
    return bad;
  }
  if (isJson || random.below(10) === 0) {
    const body = random.pick(JSON_BODIES);
    return body;
  }
  return random.pick(["a", "line\n", "x".repeat(random.below(200)), "ünï ", "\u0000\u0001"]) || "b";
}

function read(random: Random, world: World, slot: Slot): Operation {
  const tags = new Set<string>();
  const offset = offsetOf(random, world, slot);
  if (offset !== null && GARBAGE.includes(offset.ours)) tags.add("malformed");
  const live = random.below(12) === 0;
  if (live && offset === null) tags.add("malformed");
  const conditional = !live && random.below(4) === 0;
  return { ...NOTHING, method: "GET", slot, offset, live, conditional, tags };
}

function offsetOf(random: Random, world: World, slot: Slot): Place | null {
  const known = world.placesOf(slot);
  const dice = random.below(20);
  if (dice < 4) return same("-1");
  if (dice < 7) return same("now");
  if (dice < 13) return known.length > 0 ? random.pick(known) : null;
  if (dice < 14) return same(ZERO);
  if (dice < 15) return same(random.pick(GARBAGE));
  const others = dice < 16 ? world.placesOf(random.pick(world.slots)) : slot.old;
  return others.length === 0 || dice > 16 ? null : { ...random.pick(others), foreign: true };
}
