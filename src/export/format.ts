/** Definitions and ranges in entries and snapshots. Old forms stay readable for ever. */
import { type ByteReader, type ByteWriter, DecodeError } from "../lib/bytes.ts";
import { EXPORT_COMPRESSIONS, type ExportDefinition } from "./definition.ts";

const FROM_LATEST = 1;
const HOLD = 2;

export function encodeDefinition(body: ByteWriter, definition: ExportDefinition): void {
  const { topic, url, everyMs, maxBytes, compression, from, hold, format } = definition;
  body.u8((from === "latest" ? FROM_LATEST : 0) | (hold ? HOLD : 0));
  body.u8(EXPORT_COMPRESSIONS.indexOf(compression));
  body.text(topic);
  body.text(url);
  body.varint(everyMs);
  body.varint(maxBytes);
  body.text(format);
}

export function decodeDefinition(body: ByteReader): ExportDefinition {
  const flags = body.u8();
  if (flags > (FROM_LATEST | HOLD)) throw new DecodeError("unknown flags of an export");
  const compression = EXPORT_COMPRESSIONS[body.u8()];
  if (compression === undefined) throw new DecodeError("unknown compression of an export");
  return {
    topic: body.text(),
    url: body.text(),
    everyMs: body.varint(),
    maxBytes: body.varint(),
    compression,
    from: (flags & FROM_LATEST) === 0 ? "earliest" : "latest",
    hold: (flags & HOLD) !== 0,
    format: body.text(),
  };
}
