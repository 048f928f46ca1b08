/** The differences from the reference server that are meant, each with its reason. */
import type { Answer, Difference } from "./compare.ts";
import type { Operation } from "./operations.ts";

export type Explanation = {
  readonly name: string;
  readonly why: string;
  /** The servers hold different things afterwards. */
  readonly diverges?: true;
  readonly explains: (difference: Difference, seen: Seen) => boolean;
};
type Seen = { readonly operation: Operation; readonly ours: Answer; readonly theirs: Answer };

const statuses = ({ ours, theirs }: Seen): string => `${ours.status}/${theirs.status}`;

const MALFORMED: ReadonlySet<string> = new Set([
  "invalid_request",
  "invalid_parameter",
  "invalid_json",
  "invalid_offset",
  "invalid_producer",
  "empty_append",
]);
/** The reference server takes it for JSON when it answers `offset=now`, and for bytes otherwise. */
const NEARLY_JSON = /application\/json[^;\s]/i;

export const EXPLANATIONS: readonly Explanation[] = [
  {
    name: "malformed first",
    why: "A malformed request is refused with 400 before the stream is looked at.",
    explains: ({ what }, { ours, theirs }) =>
      what === "status" &&
      ours.status === 400 &&
      [403, 404, 409, 410].includes(theirs.status) &&
      MALFORMED.has((JSON.parse(ours.text) as { error: string }).error),
  },
  {
    name: "malformed and known",
    why: "A malformed body is refused, also if the numbers of the producer were accepted before or the stream exists.",
    explains: ({ what }, { operation, ours, theirs }) =>
      what === "status" &&
      (operation.tags.has("bad json") || operation.tags.has("empty array")) &&
      ours.status >= 400 &&
      (theirs.status === 204 || (operation.method === "PUT" && theirs.status === 200)),
  },
  {
    name: "end after a duplicate",
    why: "A duplicate of a producer is also answered with Stream-Next-Offset, as of now.",
    explains: ({ what, theirs }, { operation, ours }) =>
      what === "stream-next-offset" &&
      theirs === null &&
      ours.status === 204 &&
      operation.headers["producer-id"] !== undefined,
  },
  {
    name: "offset of another stream",
    why: "An offset of another stream, of an earlier one with this path, or behind the end is answered with 410 instead of other records.",
    explains: ({ what }, { operation, ours }) =>
      what === "status" && ours.status === 410 && operation.offset?.foreign === true,
  },
  {
    name: "types that begin like JSON",
    why: "offset=now of a type such as application/jsonl is answered without a body, as its other reads are made of bytes; the reference server answers [].",
    explains: ({ what, ours, theirs }, seen) =>
      what === "body" &&
      ours === "" &&
      theirs === "[]" &&
      seen.operation.offset?.ours === "now" &&
      NEARLY_JSON.test(seen.ours.headers.get("content-type") ?? ""),
  },
  {
    name: "cursor at a closed end",
    why: "Every long poll is answered with Stream-Cursor, also at the end of a closed stream.",
    explains: ({ what }, { operation, ours }) =>
      what === "stream-cursor" && operation.live && ours.headers.get("stream-closed") === "true",
  },
  {
    name: "long poll of an empty stream",
    why: "A long poll from -1 waits if the stream is empty.",
    explains: ({ what, theirs }, seen) =>
      what === "status" &&
      statuses(seen) === "204/200" &&
      seen.operation.live &&
      seen.operation.offset?.ours === "-1" &&
      /^200 (\[\])?$/.test(theirs ?? ""),
  },
  {
    name: "duplicate that would close",
    why: "A close that is a duplicate of an earlier append closes nothing, so it is not answered with Stream-Closed.",
    explains: ({ what, ours, theirs }, { operation }) =>
      what === "stream-closed" &&
      ours === null &&
      theirs === "true" &&
      operation.body === null &&
      operation.headers["producer-id"] !== undefined,
  },
  {
    name: "deleted before its producers",
    why: "A stream that is retained for its forks is gone, whether it was closed and whatever its producers wrote.",
    diverges: true,
    explains: ({ what }, { operation, ours }) =>
      what === "status" && operation.method === "POST" && ours.status === 410,
  },
  {
    name: "sub-offset over appends",
    why: "A sub-offset of a JSON stream may go beyond the append that the offset is the beginning of.",
    diverges: true,
    explains: ({ what }, seen) =>
      what === "status" &&
      statuses(seen) === "201/400" &&
      seen.operation.headers["stream-fork-sub-offset"] !== undefined,
  },
  {
    name: "expired forks",
    why: "A fork that has expired retains its source no longer. The reference server finds that when the fork is used.",
    diverges: true,
    explains: ({ what, theirs }, seen) =>
      what === "status" &&
      (statuses(seen) === "404/410" ||
        (statuses(seen) === "201/409" && theirs?.includes("active forks") === true)),
  },
  {
    name: "forks that expired just now",
    why: "A deleted stream is retained until its last fork has expired and a tick has found that.",
    diverges: true,
    explains: ({ what }, seen) =>
      what === "status" &&
      statuses(seen) === "409/201" &&
      (JSON.parse(seen.ours.text) as { error: string }).error === "stream_has_forks",
  },
  {
    name: "closed in any case",
    why: "Stream-Closed is compared without regard to case, as the protocol says. The reference server creates an open stream for TRUE.",
    diverges: true,
    explains: ({ what }, { operation }) =>
      ["status", "stream-closed"].includes(what) &&
      operation.method === "PUT" &&
      operation.headers["stream-closed"] === "TRUE",
  },
  {
    name: "inherited by a fork",
    why: "A repeated PUT of a fork may leave out the type and the life that it inherits.",
    explains: ({ what }, seen) =>
      what === "status" && statuses(seen) === "200/409" && seen.operation.forkFrom !== null,
  },
];

export const explain = (difference: Difference, seen: Seen): Explanation | null =>
  EXPLANATIONS.find(({ explains }) => explains(difference, seen)) ?? null;
