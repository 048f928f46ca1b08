import { NO_QUERY } from "../../api/common.ts";
import type { Endpoint, EndpointDocs } from "../request-context.ts";

type Made = Pick<Endpoint, "method" | "path" | "access" | "leaderOnly" | "handle"> & {
  readonly docs: Omit<EndpointDocs, "tag">;
  readonly query?: Endpoint["query"];
  readonly byLink?: true;
};

/** Adds what all routes of durable streams have in common. */
export const made = ({ query = NO_QUERY, docs, ...rest }: Made): Endpoint => ({
  ...rest,
  query,
  isHot: true,
  ignoresUnknown: true,
  docs: { ...docs, tag: "durable" },
});
