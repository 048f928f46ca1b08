/** The number that an idempotent producer gives a request. */
import { fromUtf8, utf8 } from "../lib/bytes.ts";
import { parseDecimal } from "../lib/parse.ts";
import type { ProducerNumber } from "../node/api.ts";
import { ApiError, shown } from "./errors.ts";
import { singleHeader } from "./single-header.ts";

export const PRODUCER_ID_BYTES_MAX = 128;
const NAMES = ["Producer-Id", "Producer-Epoch", "Producer-Seq"] as const;
const REMEDY = "use the parameter producer for such an id";

/**
 * Reads `Producer-Id`, `Producer-Epoch` and `Producer-Seq`, or the parameter `producer`.
 *
 * @param request null: the request has none of the three headers.
 * @param queried `<id>:<epoch>:<seq>`.
 * @returns null if the request has neither.
 * @throws ApiError `invalid_producer`.
 */
export function readProducer(
  request: Headers | null,
  queried: string | null,
): ProducerNumber | null {
  const [id, epoch, seq] = NAMES.map((name) =>
    request === null ? null : singleHeader(request, name, "invalid_producer", REMEDY),
  );
  const isInHeaders = id !== null || epoch !== null || seq !== null;
  if (queried !== null) {
    if (isInHeaders) throw invalid("Producer-Id and the parameter producer were both given");
    return readParameter(queried);
  }
  if (!isInHeaders) return null;
  if (id == null || epoch == null || seq == null) {
    const missing = NAMES.filter((name) => request?.get(name) == null).join(" and ");
    throw invalid(
      `The request has no ${missing}: ${NAMES.join(", ")} are given together or not at all`,
    );
  }
  return {
    id: checkedId(headerText(id), NAMES[0]),
    epoch: checkedInteger(epoch, NAMES[1]),
    seq: checkedInteger(seq, NAMES[2]),
  };
}

/** The id may contain colons: the other two are behind the last ones. */
function readParameter(text: string): ProducerNumber {
  const match = /^(.*):([^:]*):([^:]*)$/s.exec(text);
  if (match === null) {
    throw invalid(`producer is ${shown(text)}: it must be <id>:<epoch>:<seq>`);
  }
  const [, id = "", epoch = "", seq = ""] = match;
  return {
    id: checkedId(id, "The id in producer"),
    epoch: checkedInteger(epoch, "The epoch in producer"),
    seq: checkedInteger(seq, "The number in producer"),
  };
}

/** @throws ApiError `invalid_producer`. */
export function checkedId(id: string, what: string): string {
  const { length } = utf8(id);
  if (length >= 1 && length <= PRODUCER_ID_BYTES_MAX) return id;
  throw invalid(`${what} has ${length} bytes; it must have 1 to ${PRODUCER_ID_BYTES_MAX}`);
}

function checkedInteger(text: string, what: string): number {
  const value = parseDecimal(text);
  if (value !== null && value <= Number.MAX_SAFE_INTEGER) return value;
  throw invalid(
    `${what} is ${shown(text)}: it must be a decimal integer from 0 to ${Number.MAX_SAFE_INTEGER}`,
  );
}

/** Headers arrive with one character a byte. */
function headerText(header: string): string {
  try {
    return fromUtf8(Buffer.from(header, "latin1"));
  } catch {
    throw invalid("Producer-Id is not valid UTF-8");
  }
}

export const invalid = (message: string): ApiError => new ApiError("invalid_producer", message);
