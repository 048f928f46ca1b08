import type { CommitOffset, CommitOffsetResult } from "../broker/commands/commit-offset.ts";
import type { Configure, ConfigureResult } from "../broker/commands/configure.ts";
import type { CreateTopic, CreateTopicResult } from "../broker/commands/create-topic.ts";
import type { DeleteBefore, DeleteBeforeResult } from "../broker/commands/delete-before.ts";
import type { DeleteGroup, DeleteGroupResult } from "../broker/commands/delete-group.ts";
import type { DeleteTopic, DeleteTopicResult } from "../broker/commands/delete-topic.ts";
import type { Produce, ProduceResult } from "../broker/commands/produce.ts";
import type { SetRetention, SetRetentionResult } from "../broker/commands/set-retention.ts";
import type { Trim, TrimResult } from "../broker/commands/trim.ts";
import type { KvDelete, KvDeleteResult } from "../kv/commands/delete.ts";
import type { KvPut, KvPutResult } from "../kv/commands/put.ts";
import type { RaiseLevel, RaiseLevelResult } from "./levels.ts";
import type { PutMember, PutMemberResult, RemoveMember, RemoveMemberResult } from "./members.ts";
import type { Checksum, ChecksumResult } from "./state-checksum.ts";
import type {
  DeleteView,
  DeleteViewResult,
  PutView,
  PutViewResult,
  SaveView,
  SaveViewResult,
} from "./views.ts";

/** Advances the machine time and frees expired keys. */
export type Tick = { readonly type: "tick" };
export type TickResult = {
  readonly ok: true;
  readonly type: "tick";
  readonly keysFreed: number;
  /** Number of idempotency keys that were dropped. */
  readonly duplicatesForgotten: number;
};

export type BrokerCommand =
  | CreateTopic
  | DeleteTopic
  | DeleteGroup
  | Produce
  | CommitOffset
  | DeleteBefore
  | Trim
  | SetRetention
  | Configure;
export type KvCommand = KvPut | KvDelete;
export type MemberCommand = PutMember | RemoveMember;
export type ViewCommand = PutView | DeleteView | SaveView;
export type Command =
  | BrokerCommand
  | KvCommand
  | MemberCommand
  | ViewCommand
  | RaiseLevel
  | Tick
  | Checksum;

/** Result of a command, the same on every node. The `type` of a success names the command. */
export type CommandResult =
  | CreateTopicResult
  | DeleteTopicResult
  | DeleteGroupResult
  | ProduceResult
  | CommitOffsetResult
  | DeleteBeforeResult
  | TrimResult
  | SetRetentionResult
  | ConfigureResult
  | KvPutResult
  | KvDeleteResult
  | PutMemberResult
  | RemoveMemberResult
  | PutViewResult
  | DeleteViewResult
  | SaveViewResult
  | RaiseLevelResult
  | TickResult
  | ChecksumResult;
