/** Context attributes of CloudEvents 1.0, which are stored as headers `ce-<name>`. */
import { fromUtf8 } from "../lib/bytes.ts";
import { isTimeText } from "../lib/time-text.ts";
import { EVENT_PREFIX } from "../record/cloud-event.ts";
import { ApiError, shown } from "./errors.ts";

export const REQUIRED: readonly string[] = ["id", "source", "specversion", "type"];
const VERSION = "1.0";
const NAME = /^[a-z0-9]+$/;

/**
 * Decodes a context attribute in a request header: quotes, then one round of percent-encoding
 * (section 3.1.3.2 of the binding).
 */
export function attributeText(name: string, raw: string): string {
  const quoted = /^"(.*)"$/s.exec(raw)?.[1];
  const text = quoted === undefined ? raw : quoted.replace(/\\(.)/gs, "$1");
  const bytes: number[] = [];
  for (let i = 0; i < text.length; i++) {
    const code = text[i] === "%" ? /^[0-9A-Fa-f]{2}/.exec(text.slice(i + 1)) : null;
    bytes.push(code === null ? text.charCodeAt(i) : Number.parseInt(code[0], 16));
    if (code !== null) i += 2;
  }
  try {
    return fromUtf8(Uint8Array.from(bytes));
  } catch {
    throw invalid(`The attribute ${shown(name)} is not UTF-8 after percent-decoding`);
  }
}

/** @throws ApiError if the event could not be given out again as what it is. */
export function checkEvent(attributes: ReadonlyMap<string, string>): void {
  for (const name of attributes.keys()) {
    if (name.startsWith(EVENT_PREFIX)) checkName(name.slice(EVENT_PREFIX.length));
  }
  for (const name of REQUIRED) {
    if ((attributes.get(EVENT_PREFIX + name) ?? "") !== "") continue;
    throw invalid(`A CloudEvent needs the attribute ${shown(name)}, which must not be empty`);
  }
  const version = attributes.get("ce-specversion");
  if (version !== VERSION) {
    throw invalid(`The CloudEvent has specversion ${shown(version)}: only "1.0" is known`);
  }
  const time = attributes.get("ce-time");
  if (time !== undefined && !isTimeText(time)) {
    throw invalid(
      `The attribute "time" is ${shown(time)}: it must be a time by RFC 3339, such as 2030-01-31T12:00:00Z`,
    );
  }
}

/** @throws ApiError */
export function checkName(name: string): void {
  if (NAME.test(name)) return;
  throw invalid(`The attribute ${shown(name)} must have characters of a-z 0-9 only`);
}

const invalid = (message: string): ApiError => new ApiError("invalid_header", message);
