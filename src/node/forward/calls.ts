/** The calls that a follower has executed by the leader: one table for both ends of a link. */
import type {
  DurableApi,
  GroupsApi,
  LaterApi,
  MemberPage,
  MemberReadRequest,
  MemberRecords,
  NodeApi,
  ProducersApi,
  QueueApi,
  Received,
  ReceivedMessage,
  ReceiveRequest,
  Result,
} from "../api.ts";
import type { MemberReadReject } from "../groups-api.ts";
import type { ReceiveReject } from "../queue-api.ts";

/** A receive on its way to the leader, and its answer: the follower adds the records itself. */
export type LeaseRequest = Omit<ReceiveRequest, "signal">;
export type Lease = Pick<ReceivedMessage, "partition" | "offset" | "attempt" | "receipt">;
export type Leased = Omit<Received, "messages"> & { readonly messages: readonly Lease[] };

/** The same for a read of a member. */
export type PlacesRequest = Omit<MemberReadRequest, "signal">;
export type Place = Omit<MemberRecords, "slices">;
export type MemberPlaces = Omit<MemberPage, "records"> & { readonly records: readonly Place[] };

/** They cross a link as a name and JSON. Names and arguments are part of the protocol. */
export type ForwardedCalls = Pick<
  NodeApi,
  | "commitOffset"
  | "createTopic"
  | "deleteTopic"
  | "deleteBefore"
  | "setRetention"
  | "kvDelete"
  | "kvDeleteNamespace"
> &
  Pick<LaterApi, "schedule" | "deleteScheduled" | "deleteCron"> &
  Pick<
    DurableApi,
    | "createStream"
    | "appendStream"
    | "deleteStream"
    | "putSubscription"
    | "deleteSubscription"
    | "linkStreams"
    | "claimWake"
    | "settleWake"
  > & {
    readonly forgetProducer: ProducersApi["forget"];
    readonly joinGroup: GroupsApi["join"];
    readonly leaveGroup: GroupsApi["leave"];
    readonly commitMember: GroupsApi["commit"];
    readonly settleMessages: QueueApi["settle"];
    readonly rejectMessages: QueueApi["reject"];
    readonly redrive: QueueApi["redrive"];
    readonly receive: (
      request: LeaseRequest,
      signal: AbortSignal,
    ) => Promise<Result<Leased, ReceiveReject>>;
    readonly readMember: (
      request: PlacesRequest,
      signal: AbortSignal,
    ) => Promise<Result<MemberPlaces, MemberReadReject>>;
  };
export type CallName = keyof ForwardedCalls;

type CallRules = {
  /**
   * Waits for something to happen, as long as `waitMs` of its request says. Its last argument is a
   * signal that ends the wait. The signal does not cross the link; `CANCEL` says that it was aborted.
   */
  readonly waits?: true;
  /** Several commands, of which the first may be done when a later one is refused: it is sent once. */
  readonly isOnce?: true;
};

export const CALL_RULES: Readonly<Record<CallName, CallRules>> = {
  commitOffset: {},
  createTopic: {},
  deleteTopic: {},
  deleteBefore: {},
  setRetention: {},
  kvDelete: {},
  kvDeleteNamespace: {},
  forgetProducer: {},
  schedule: {},
  deleteScheduled: {},
  deleteCron: {},
  createStream: {},
  appendStream: {},
  deleteStream: {},
  putSubscription: {},
  deleteSubscription: {},
  linkStreams: {},
  claimWake: {},
  settleWake: {},
  joinGroup: {},
  leaveGroup: {},
  commitMember: {},
  settleMessages: {},
  // A message that was put aside already is told as `lease_expired`, and is not put aside again.
  rejectMessages: {},
  redrive: { isOnce: true },
  receive: { waits: true },
  readMember: { waits: true },
};

/** Tells the mark of the sender. It is not a write and does not have an outcome, as `CANCEL`. */
export const INTRODUCE = "introduce";
/** Ends the waits of earlier calls, by their ids. */
export const CANCEL = "cancel";
