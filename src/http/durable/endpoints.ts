/** The routes below `/v1/stream`. Their rules win over those of the other routes. */

import type { HttpOptions } from "../options.ts";
import type { Endpoint } from "../request-context.ts";
import type { Services } from "../services.ts";
import { controlEndpoints } from "./control-endpoints.ts";
import { streamEndpoints } from "./stream-endpoints.ts";

export function durableEndpoints(
  services: Services,
  { api, longPollMs }: NonNullable<HttpOptions["durable"]>,
): readonly Endpoint[] {
  const durable = { ...services, durable: api, longPollMs };
  // Control routes come first: the pattern of streams matches their paths too.
  return [...controlEndpoints(durable), ...streamEndpoints(durable)];
}
