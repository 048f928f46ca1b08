/** Examples of queries. */
import { indentedText } from "../../../client/json-text.ts";

export type Example = {
  readonly name: string;
  readonly kind: "query" | "join";
  readonly text: string;
};

const text = (request: object): string => indentedText(JSON.stringify(request));

export const EXAMPLES: readonly Example[] = [
  {
    name: "filter and project",
    kind: "query",
    text: text({
      source: { topic: "sales", partition: 0, offset: 0, limit: 1000 },
      filter: [{ field: "amount", op: "gt", value: 4 }],
      transform: { left_fields: ["region", "amount", "user.id"], emit_rows: 100 },
    }),
  },
  {
    name: "group and sum",
    kind: "query",
    text: text({
      source: { topic: "sales", partition: 0, offset: 0, limit: 10_000 },
      aggregate: {
        group_by: ["region"],
        measures: [{ op: "count" }, { op: "sum", field: "amount", as: "revenue" }],
      },
    }),
  },
  {
    name: "count per minute",
    kind: "query",
    text: text({
      source: { topic: "sales", partition: 0, offset: 0, limit: 10_000 },
      window: { type: "tumbling", size_ms: 60_000 },
      aggregate: { group_by: [], measures: [{ op: "count" }] },
    }),
  },
  {
    name: "join two topics",
    kind: "join",
    text: text({
      left: { topic: "sales", partition: 0, offset: 0 },
      right: { topic: "users", partition: 0, offset: 0 },
      on: { left_key: "user.id", right_key: "id" },
      window: { size_ms: 3_600_000 },
      join: { type: "inner" },
      emit: { left_fields: ["amount"], right_fields: ["name"], max_rows: 100 },
    }),
  },
];
