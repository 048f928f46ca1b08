import type { Brand } from "../lib/brand.ts";

/** Position of a record in its partition, counted from 0; never a byte position. */
export type Offset = Brand<number, "Offset">;
