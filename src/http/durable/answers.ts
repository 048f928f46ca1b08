import type { Rejected } from "../../node/api.ts";
import { shown } from "../errors.ts";
import { isForwarded, ORIGIN_HEADER } from "../forward-headers.ts";
import type { RequestContext } from "../request-context.ts";
import type { DurableServices } from "./services.ts";

export const NEXT_OFFSET = "stream-next-offset";
export const UP_TO_DATE = "stream-up-to-date";
export const CLOSED = "stream-closed";
export const CURSOR = "stream-cursor";
export const TTL = "stream-ttl";
export const EXPIRES_AT = "stream-expires-at";
export const DATA_ENCODING = "stream-sse-data-encoding";
export const PRODUCER_EPOCH = "producer-epoch";
export const PRODUCER_SEQ = "producer-seq";
export const EXPECTED_SEQ = "producer-expected-seq";
export const RECEIVED_SEQ = "producer-received-seq";

/** Details of rejections that the protocol has headers for. */
const DETAIL_HEADERS: Readonly<Record<string, string>> = {
  nextOffset: NEXT_OFFSET,
  currentEpoch: PRODUCER_EPOCH,
  expectedSeq: EXPECTED_SEQ,
  receivedSeq: RECEIVED_SEQ,
};

/** The answer to a request that the node has rejected. */
export function rejection(
  services: DurableServices,
  context: RequestContext,
  rejected: Rejected,
  path: string,
): Response {
  const response = services.errorMapper.answer(context, rejected, shown(path));
  for (const [name, value] of Object.entries(rejected.details ?? {})) {
    const header = DETAIL_HEADERS[name];
    if (header !== undefined && rejected.code !== "epoch_not_at_zero") {
      response.headers.set(header, String(value));
    }
  }
  if (rejected.code === "stream_closed") response.headers.set(CLOSED, "true");
  return response;
}

/** Scheme and host that the client knows the server by. A node that forwards tells its own. */
export async function originOf(
  services: DurableServices,
  { request: { headers } }: RequestContext,
): Promise<string> {
  const scheme = services.options.tls?.http === true ? "https" : "http";
  const own = `${scheme}://${headers.get("host") ?? "localhost"}`;
  const told = headers.get(ORIGIN_HEADER);
  const isTold = told !== null && URL.canParse(told) && (await isForwarded(services.node, headers));
  return isTold ? new URL(told).origin : own;
}
