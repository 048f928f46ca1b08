/** The parameters of paths by their names in routes: their values and their schemas. */
import { type TSchema, Type as t } from "@sinclair/typebox";
import { group, NAME_PATTERN, partition, topic } from "../api/common.ts";
import {
  checkExport,
  checkGroup,
  checkKey,
  checkNamespace,
  checkQueue,
  checkSchedule,
  checkTopic,
  checkView,
  checkWebhook,
  KEY_BYTES_MAX,
} from "./names.ts";
import { decimal } from "./raw-url.ts";

/** Reads the decoded text of a parameter. @throws ApiError that names the text and what is allowed. */
const READS = {
  topic: checkTopic,
  group: checkGroup,
  namespace: checkNamespace,
  queue: checkQueue,
  webhook: checkWebhook,
  export: checkExport,
  schedule: checkSchedule,
  /** The name of a view. */
  name: checkView,
  partition: (text: string): number => decimal(text, "The partition in the path"),
  /** The remainder of the path: a key. */
  "*": checkKey,
} as const;

export type PathName = keyof typeof READS;
export type PathValue<Name extends PathName> = ReturnType<(typeof READS)[Name]>;

export const readPathValue = <Name extends PathName>(name: Name, text: string): PathValue<Name> =>
  READS[name](text) as PathValue<Name>;

/** By the names in the documentation, where the remainder of a path is `key`. */
const SCHEMAS: Readonly<Record<string, TSchema>> = {
  topic,
  group,
  namespace: t.String({ pattern: NAME_PATTERN, description: "Namespace of keys" }),
  schedule: t.String({ description: "Name of a schedule, or id of records that wait" }),
  queue: t.String({ pattern: NAME_PATTERN, description: "Queue" }),
  webhook: t.String({ pattern: NAME_PATTERN, description: "Webhook" }),
  export: t.String({ pattern: NAME_PATTERN, description: "Export" }),
  name: t.String({ pattern: NAME_PATTERN, description: "Name of a view" }),
  partition,
  stream: t.String({ description: "Path of a stream: 1 to 1024 bytes, with slashes as they are" }),
  subscription: t.String({ description: "Id of a subscription: 1 to 256 bytes" }),
  key: t.String({
    description: `1 to ${KEY_BYTES_MAX} bytes. May have slashes, as they are or as %2F`,
  }),
};

export const pathSchema = (name: string): TSchema => SCHEMAS[name] ?? t.String();
