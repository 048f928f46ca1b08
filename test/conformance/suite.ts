/** All that can be asked of a server without knowing how it is made. */

import type { TargetOf } from "../tools/conformance/target.ts";
import * as admin from "./admin.ts";
import * as auth from "./auth.ts";
import * as badInputs from "./bad-inputs.ts";
import * as batches from "./batches.ts";
import * as byTime from "./by-time.ts";
import * as cloudEvents from "./cloud-events.ts";
import * as consume from "./consume.ts";
import * as follow from "./follow.ts";
import * as groupMembers from "./group-members.ts";
import * as groups from "./groups.ts";
import * as health from "./health.ts";
import * as joins from "./joins.ts";
import * as jsonBodies from "./json-bodies.ts";
import * as kv from "./kv.ts";
import * as produce from "./produce.ts";
import * as produceNdjson from "./produce-ndjson.ts";
import * as producers from "./producers.ts";
import * as queueRetries from "./queue-retries.ts";
import * as queues from "./queues.ts";
import * as recordFields from "./record-fields.ts";
import * as recordHeaders from "./record-headers.ts";
import * as requests from "./requests.ts";
import * as retention from "./retention.ts";
import * as schedules from "./schedules.ts";
import * as streams from "./streams.ts";
import * as topics from "./topics.ts";
import * as ui from "./ui.ts";
import * as views from "./views.ts";
import * as webhooks from "./webhooks.ts";

const PARTS = [
  requests,
  jsonBodies,
  health,
  auth,
  topics,
  produce,
  produceNdjson,
  producers,
  recordHeaders,
  cloudEvents,
  batches,
  consume,
  byTime,
  follow,
  groups,
  retention,
  kv,
  admin,
  badInputs,
  ui,
];

/** Parts of the API that a node in memory does not have. */
const STREAM_PARTS = [
  streams,
  joins,
  views,
  recordFields,
  queues,
  queueRetries,
  groupMembers,
  schedules,
  webhooks,
];

/** @param target asked anew by each test, so that a server may be started in `beforeAll`. */
export function register(target: TargetOf): void {
  registerEdge(target);
  registerStreams(target);
}

export function registerStreams(target: TargetOf): void {
  for (const part of STREAM_PARTS) part.register(target);
}

/** All but stream processing. */
export function registerEdge(target: TargetOf): void {
  for (const part of PARTS) part.register(target);
}
