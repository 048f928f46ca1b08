/** Members of the cluster and its leader. */
import { Type as t } from "@sinclair/typebox";
import { ok, type Wire } from "./common.ts";

const NODE_ID = "1 to 64 of A-Z a-z 0-9 . _ -";
const nodeId = t.String({ pattern: "^[A-Za-z0-9._-]{1,64}$", description: NODE_ID });
const STRICT = { additionalProperties: false };
export const ADD_BODY = t.Object(
  {
    node_id: nodeId,
    advertise_addr: t.String({ description: "host:port or http://host:port for Raft" }),
    http_addr: t.Optional(
      t.String({
        description: "host:port or http://host:port for HTTP, on the same host; default: port + 1",
      }),
    ),
    priority: t.Optional(t.Integer({ minimum: 0, maximum: 1_000_000 })),
  },
  STRICT,
);
export type AddBody = Wire<typeof ADD_BODY>;
export const NODE_BODY = t.Object({ node_id: nodeId }, STRICT);
export type NodeBody = Wire<typeof NODE_BODY>;
export const TRANSFER_BODY = t.Object({ node_id: t.Optional(nodeId) }, STRICT);
export type TransferBody = Wire<typeof TRANSFER_BODY>;
/** Without a maximum and a description, unlike the shared one. */
const number = t.Integer({ minimum: 0 });
const MEMBER = t.Object({
  index: number,
  node_id: t.String(),
  advertise_addr: t.String(),
  http_addr: t.String(),
  priority: number,
  is_voter: t.Boolean(),
  is_learner: t.Boolean(),
  role: t.String(),
  match_index: t.Union([number, t.Null()]),
  healthy: t.Boolean(),
});
export type Member = Wire<typeof MEMBER>;
export const TRANSFERRED = t.Object({ ok, target: t.String({ description: "The new leader" }) });
export type Transferred = Wire<typeof TRANSFERRED>;
export const MEMBERSHIP = t.Object({
  ok,
  membership: t.Object({
    epoch: number,
    joint_active: t.Boolean(),
    node_count: number,
    nodes: t.Array(MEMBER),
    leader_id: t.Union([t.String(), t.Null()]),
    term: number,
  }),
});
export type Membership = Wire<typeof MEMBERSHIP>;
