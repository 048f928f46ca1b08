/** The calls of a node that answer by a function or at once, as promises. */
import type {
  KvGetOutcome,
  KvGetRequest,
  KvPutOutcome,
  KvPutRequest,
  NodeApi,
  ProduceOutcome,
  ProduceRequest,
} from "../../../src/node/api.ts";

export const produced = (node: NodeApi, request: ProduceRequest): Promise<ProduceOutcome> =>
  new Promise((done) => node.produce(request, done));

export const stored = (node: NodeApi, request: KvPutRequest): Promise<KvPutOutcome> =>
  new Promise((done) => node.kvPut(request, done));

export const read = (node: NodeApi, request: KvGetRequest): Promise<KvGetOutcome> =>
  Promise.resolve(node.kvGet(request));
