import { ApiError } from "../errors.ts";
import type { RequestContext } from "../request-context.ts";
import type { DurableServices } from "./services.ts";

const GONE_FROM = 400;
const FAILED_FROM = 500;

/**
 * Prolongs the life of a stream that was read here: only the leader can write that down, and it does so
 * when it is asked for the end of the stream.
 *
 * @throws ApiError if the leader could not be asked. The life of the stream would not be what the
 *   answer promises.
 */
export async function touchAtLeader(
  services: DurableServices,
  { request, pathname }: RequestContext,
): Promise<void> {
  const headers = new Headers();
  const authorization = request.headers.get("authorization");
  if (authorization !== null) headers.set("authorization", authorization);
  const response = await services.askLeader(
    new Request(`http://localhost${pathname}?offset=now`, { headers }),
  );
  if (response === null || response.status >= FAILED_FROM) throw new ApiError("no_leader");
  if (response.status >= GONE_FROM) throw new ApiError("stream_not_found");
}
