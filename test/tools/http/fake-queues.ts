import type { QueueApi } from "../../../src/node/api.ts";

const NOT_FOUND = { ok: false, code: "queue_not_found" } as const;

/** A node without any queue. */
export class FakeQueues implements QueueApi {
  define: QueueApi["define"] = async () => ({ ok: true, created: true });
  deleteQueue = async () => NOT_FOUND;
  purge = async () => NOT_FOUND;
  receive: QueueApi["receive"] = async () => NOT_FOUND;
  settle: QueueApi["settle"] = async () => NOT_FOUND;
  reject: QueueApi["reject"] = async () => NOT_FOUND;
  stopRedrive = async () => NOT_FOUND;
  redrive: QueueApi["redrive"] = async () => NOT_FOUND;
  listQueues = () => [];
  describeQueue = () => NOT_FOUND;
  topicsOfQueue: QueueApi["topicsOfQueue"] = () => null;
  hasTopic = () => false;
}
