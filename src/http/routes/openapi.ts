import { Type as t } from "@sinclair/typebox";
import { NO_QUERY } from "../../api/common.ts";
import { openApiDocument } from "../openapi.ts";
import type { Endpoint } from "../request-context.ts";
import { json } from "../responses.ts";

/** @param endpoints all endpoints of the server. The caller adds this one to the list. */
export function openApiEndpoint(endpoints: readonly Endpoint[], version: string): Endpoint {
  let document: object | null = null;
  return {
    method: "GET",
    path: "/openapi.json",
    access: { kind: "public" },
    leaderOnly: false,
    query: NO_QUERY,
    docs: { summary: "This document", tag: "health", answer: t.Object({}), errors: [] },
    handle: () => {
      document ??= openApiDocument(endpoints, version);
      return json<object>(document);
    },
  };
}
