/** Sends an operation to both servers and lists what differs in their answers. */
import type { Operation, Place } from "./operations.ts";
import type { World } from "./world.ts";

export type Answer = {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
  readonly text: string;
};
export type Side = "ours" | "theirs";
export type Difference = {
  /** `status`, `body`, `offset`, or the name of a header. */
  readonly what: string;
  readonly ours: string | null;
  readonly theirs: string | null;
};

/** Headers with the same value on both sides. */
const HEADERS = [
  "stream-up-to-date",
  "stream-closed",
  "stream-ttl",
  "stream-expires-at",
  "producer-epoch",
  "producer-seq",
  "producer-expected-seq",
  "producer-received-seq",
  "cache-control",
];
/** Headers that are there or not. */
const PRESENT = ["location", "etag", "stream-cursor"];

export async function send(url: string, side: Side, operation: Operation): Promise<Answer> {
  const { method, slot, headers, body, offset, forkFrom, forkOffset, live } = operation;
  const query: string[] = [];
  if (offset !== null) query.push(`offset=${encodeURIComponent(offset[side])}`);
  if (live) query.push("live=long-poll");
  const sent: Record<string, string> = { ...headers };
  if (forkFrom !== null) sent["stream-forked-from"] = pathOf(forkFrom.path);
  if (forkOffset !== null) sent["stream-fork-offset"] = forkOffset[side];
  const tag = slot.tags.get(tagKey(offset));
  if (operation.conditional && tag !== undefined) sent["if-none-match"] = tag[side];
  // Without a type, fetch adds one to a text.
  const bytes = body === null ? undefined : new TextEncoder().encode(body);
  const response = await fetch(
    `${url}${pathOf(slot.path)}${query.length > 0 ? `?${query.join("&")}` : ""}`,
    {
      method,
      headers: sent,
      ...(bytes === undefined ? {} : { body: bytes }),
    },
  );
  const received = new Uint8Array(await response.arrayBuffer());
  const { status } = response;
  return { status, headers: response.headers, body: received, text: decoder.decode(received) };
}

const decoder = new TextDecoder();
const pathOf = (path: string): string =>
  `/v1/stream/${path.split("/").map(encodeURIComponent).join("/")}`;

export const tagKey = (offset: Place | null): string => offset?.theirs ?? "";

export function differencesOf(
  world: World,
  operation: Operation,
  ours: Answer,
  theirs: Answer,
): readonly Difference[] {
  if (ours.status !== theirs.status) {
    return [
      {
        what: "status",
        ours: `${ours.status} ${ours.text.slice(0, 120)}`,
        theirs: `${theirs.status} ${theirs.text.slice(0, 80)}`,
      },
    ];
  }
  const found: Difference[] = [];
  const add = (what: string, one: string | null, other: string | null) =>
    found.push({ what, ours: one, theirs: other });
  for (const name of HEADERS) {
    const [one, other] = [ours.headers.get(name), theirs.headers.get(name)];
    if (one !== other) add(name, one, other);
  }
  for (const name of PRESENT) {
    const [one, other] = [ours.headers.has(name), theirs.headers.has(name)];
    if (one !== other) add(name, String(one), String(other));
  }
  if (ours.status >= 300) return found;
  const [one, other] = [ours.headers.get("content-type"), theirs.headers.get("content-type")];
  if (one !== other) add("content-type", one, other);
  compareOffsets(world, operation, ours, theirs, add);
  if (operation.method === "GET" && !sameBody(ours, theirs)) {
    add("body", ours.text.slice(0, 200), theirs.text.slice(0, 200));
  }
  return found;
}

function compareOffsets(
  world: World,
  { method, slot }: Operation,
  ours: Answer,
  theirs: Answer,
  add: (what: string, one: string | null, other: string | null) => void,
): void {
  const [one, other] = [
    ours.headers.get("stream-next-offset"),
    theirs.headers.get("stream-next-offset"),
  ];
  if (one === null || other === null) {
    if (one !== other) add("stream-next-offset", one, other);
    return;
  }
  // A new stream has no offsets yet.
  if (method === "PUT" && ours.status === 201) return;
  const problem = world.learn(slot, other, one);
  if (problem !== null) add("offset", `${one}: ${problem}`, other);
}

/** JSON is kept as it was written by one server, and written anew by the other. */
function sameBody(ours: Answer, theirs: Answer): boolean {
  const type = ours.headers.get("content-type") ?? "";
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    return Buffer.compare(ours.body, theirs.body) === 0;
  }
  try {
    return Bun.deepEquals(JSON.parse(ours.text), JSON.parse(theirs.text), true);
  } catch {
    return false;
  }
}
