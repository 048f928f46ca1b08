/** How values are decoded if a test does not say otherwise. */
import type { DecodeSpec } from "../../../src/stream/codecs/decoder.ts";

export const AVRO_BINARY: DecodeSpec = {
  type: "avro",
  encoding: "binary",
  framing: null,
  schemaText: "",
  message: null,
  applyDefaults: true,
  fieldAliases: new Map(),
};
