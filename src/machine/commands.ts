/** All kinds of commands. A new one is described beside its apply function and gets a row here. */
import { changeRetention } from "../broker/commands/change-retention.ts";
import { configure } from "../broker/commands/configure.ts";
import { deleteBefore } from "../broker/commands/delete-before.ts";
import { forgetProducer } from "../broker/commands/forget-producer.ts";
import { produce } from "../broker/commands/produce.ts";
import { produceSequenced } from "../broker/commands/produce-sequenced.ts";
import { setRetention } from "../broker/commands/set-retention.ts";
import { trim } from "../broker/commands/trim.ts";
import type { BrokerEffects } from "../broker/state.ts";
import { appendStream } from "../durable/commands/append-stream.ts";
import { createStream } from "../durable/commands/create-stream.ts";
import { removeStream } from "../durable/commands/delete-stream.ts";
import { touchStreams } from "../durable/commands/touch-streams.ts";
import type { DurableEffects } from "../durable/state.ts";
import {
  claimWake,
  deleteSubscription,
  linkStreams,
  noteDelivery,
  putSubscription,
  settleWake,
} from "../durable/subscriptions/commands.ts";
import { deleteExport, flushExport, pauseExport } from "../export/commands/change-export.ts";
import { endExport, removedExportFile } from "../export/commands/close-export.ts";
import { commitExportFile, planExportFile } from "../export/commands/export-file.ts";
import { listExportManifest, sealExportManifest } from "../export/commands/export-manifest.ts";
import { putExport } from "../export/commands/put-export.ts";
import { commitOffset, createTopic, deleteGroup, deleteTopic } from "../groups/broker-commands.ts";
import { commitMember } from "../groups/commands/commit-member.ts";
import { joinGroup } from "../groups/commands/join-group.ts";
import { leaveGroup } from "../groups/commands/leave-group.ts";
import { renewMember } from "../groups/commands/renew-member.ts";
import { seekGroup } from "../groups/commands/seek-group.ts";
import type { GroupEffects } from "../groups/state.ts";
import { kvDelete } from "../kv/commands/delete.ts";
import { kvDeleteNamespace } from "../kv/commands/delete-namespace.ts";
import { kvPut } from "../kv/commands/put.ts";
import { deleteCron, fireCron, putCron } from "../later/commands/crons.ts";
import { deleteScheduled } from "../later/commands/delete-scheduled.ts";
import { deliverScheduled } from "../later/commands/deliver-scheduled.ts";
import { scheduleRecords, scheduleRecordsAs } from "../later/commands/schedule-records.ts";
import { assert } from "../lib/assert.ts";
import type { CommandKind, CommandOf, ResultOf } from "../lib/command-kind.ts";
import { buryMessage } from "../queue/commands/bury-message.ts";
import { defineQueue } from "../queue/commands/define-queue.ts";
import { deleteQueue } from "../queue/commands/delete-queue.ts";
import { forgetQueues } from "../queue/commands/forget-queues.ts";
import { planRedrive } from "../queue/commands/plan-redrive.ts";
import { purgeQueue } from "../queue/commands/purge-queue.ts";
import { receive } from "../queue/commands/receive.ts";
import { redrive, redrivePlanned } from "../queue/commands/redrive.ts";
import { ackMessages, extendLeases, nackMessages } from "../queue/commands/settle.ts";
import { defineWebhook } from "../webhook/commands/define-webhook.ts";
import { deleteWebhook } from "../webhook/commands/delete-webhook.ts";
import { pauseWebhook } from "../webhook/commands/pause-webhook.ts";
import { rotateSecret } from "../webhook/commands/rotate-secret.ts";
import { skipRecords } from "../webhook/commands/skip-records.ts";
import { raiseLevel } from "./levels.ts";
import { type MemberEffects, putMember, removeMember } from "./members.ts";
import type { MachineState } from "./state.ts";
import { type ChecksumEffects, checksum } from "./state-checksum.ts";
import { tick } from "./tick.ts";
import { deleteView, putView, saveView } from "./views.ts";

const KINDS = [
  createTopic,
  deleteTopic,
  produce,
  commitOffset,
  deleteBefore,
  trim,
  setRetention,
  configure,
  kvPut,
  kvDelete,
  tick,
  putMember,
  removeMember,
  putView,
  deleteView,
  saveView,
  checksum,
  deleteGroup,
  raiseLevel,
  joinGroup,
  leaveGroup,
  renewMember,
  commitMember,
  seekGroup,
  changeRetention,
  kvDeleteNamespace,
  defineQueue,
  deleteQueue,
  receive,
  ackMessages,
  nackMessages,
  extendLeases,
  buryMessage,
  redrive,
  purgeQueue,
  scheduleRecords,
  deliverScheduled,
  deleteScheduled,
  putCron,
  fireCron,
  deleteCron,
  createStream,
  appendStream,
  removeStream,
  touchStreams,
  putSubscription,
  deleteSubscription,
  linkStreams,
  claimWake,
  settleWake,
  noteDelivery,
  produceSequenced,
  forgetProducer,
  scheduleRecordsAs,
  planRedrive,
  forgetQueues,
  redrivePlanned,
  defineWebhook,
  deleteWebhook,
  pauseWebhook,
  rotateSecret,
  skipRecords,
  putExport,
  deleteExport,
  pauseExport,
  flushExport,
  planExportFile,
  commitExportFile,
  sealExportManifest,
  listExportManifest,
  endExport,
  removedExportFile,
] as const;

type Kind = (typeof KINDS)[number];

export type Command = CommandOf<Kind>;
/** Result of a command, the same on every node. The `type` of a success names the command. */
export type CommandResult = ResultOf<Kind>;

/** Effects that commands may have outside the state. */
export type CommandEffects = BrokerEffects &
  GroupEffects &
  DurableEffects &
  MemberEffects &
  ChecksumEffects;

/** Any kind, for those who have a command and its kind from the same place. */
export type AnyKind = CommandKind<Command, CommandResult, MachineState, CommandEffects>;

const BY_TAG: (AnyKind | undefined)[] = [];
const BY_TYPE = new Map<string, AnyKind>();
for (const each of KINDS) {
  // Each kind is only ever given its own commands.
  const kind = each as unknown as AnyKind;
  assert(BY_TAG[kind.tag] === undefined && !BY_TYPE.has(kind.type), "each kind has its own tag");
  BY_TAG[kind.tag] = kind;
  BY_TYPE.set(kind.type, kind);
}

export const kindOfTag = (tag: number): AnyKind | undefined => BY_TAG[tag];

export function kindOf(type: Command["type"]): AnyKind {
  const kind = BY_TYPE.get(type);
  assert(kind !== undefined, "every type of command has its kind");
  return kind;
}
