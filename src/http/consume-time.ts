/** Reads that start at a time instead of an offset. */
import type { ConsumeReject, Rejected } from "../node/api.ts";
import type { ConsumeCall } from "./consume-request.ts";
import type { Services } from "./services.ts";

/** Replaces `from_ms` by the offset that it stands for, in the topic that there is now. */
export async function startAtTime(
  { node }: Services,
  consume: ConsumeCall,
  timeMs: number,
): Promise<ConsumeCall | Rejected<ConsumeReject>> {
  const { topic, partition, topicId, linearizable } = consume.request;
  const found = await node.offsetsAt({ topic, partition, timeMs, linearizable });
  if (!found.ok) return found;
  const [at] = found.offsets;
  // The look-up has confirmed with the leader already.
  const request = {
    ...consume.request,
    offset: at?.offset ?? 0,
    topicId: topicId ?? found.topicId,
    linearizable: false,
  };
  return { ...consume, request };
}
