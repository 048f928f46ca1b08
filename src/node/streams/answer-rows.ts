/**
 * Rows of answers as documents. They are written on the node, in slices, so these are the only names
 * of the wire outside of the HTTP API and its clients.
 */
import type { JoinRow } from "../../stream/join.ts";
import type { JsonOutput } from "../../stream/json-output.ts";

/** Rows of queries and aggregates, whose names the request or the records have chosen. */
export const asItIs = (row: JsonOutput): JsonOutput => row;

export const joinRow = ({ key, leftTsMs, rightTsMs, left, right }: JoinRow): JsonOutput => ({
  key,
  left_ts_ms: leftTsMs,
  right_ts_ms: rightTsMs,
  left,
  right,
});
