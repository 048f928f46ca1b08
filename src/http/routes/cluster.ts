import type * as api from "../../api/cluster.ts";
import { ADD_BODY, MEMBERSHIP, NODE_BODY, TRANSFER_BODY, TRANSFERRED } from "../../api/cluster.ts";
import { NO_QUERY, OK, type Ok } from "../../api/common.ts";
import { parseDecimal } from "../../lib/parse.ts";
import type { ClusterApi, MemberReject, Membership, Result } from "../../node/api.ts";
import { readJson, readOptionalJson } from "../body.ts";
import { ApiError, type ErrorCode } from "../errors.ts";
import type { Endpoint, RequestContext } from "../request-context.ts";
import { json } from "../responses.ts";
import type { Services } from "../services.ts";

const CHANGE_ERRORS: readonly ErrorCode[] = [
  "member_exists",
  "member_not_found",
  "not_caught_up",
  "change_in_progress",
  "last_voter",
  "commit_timeout",
];

const CHANGE = {
  method: "POST",
  access: { kind: "node", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
} as const;

export const clusterEndpoints = (services: Services, cluster: ClusterApi): readonly Endpoint[] => [
  {
    method: "GET",
    path: "/ha/membership",
    access: { kind: "node", scope: "read" },
    leaderOnly: false,
    query: NO_QUERY,
    docs: {
      summary: "List the members of the cluster",
      tag: "cluster",
      answer: MEMBERSHIP,
      errors: [],
    },
    handle: async () =>
      json<api.Membership>({ ok: true, membership: shown(services, await cluster.membership()) }),
  },
  change(services, "/ha/membership/add", "Add a node as learner", ADD_BODY, async (context) => {
    const body = await readJson(context, ADD_BODY);
    const raft = hostAndPort("advertise_addr", body.advertise_addr);
    const http = body.http_addr === undefined ? null : hostAndPort("http_addr", body.http_addr);
    if (http !== null && http.host !== raft.host) {
      throw new ApiError(
        "invalid_request",
        `http_addr has the host "${http.host}" and advertise_addr "${raft.host}": a node has one host for both`,
      );
    }
    return cluster.addMember({
      nodeId: body.node_id,
      host: raft.host,
      raftPort: raft.port,
      httpPort: http?.port ?? null,
      priority: body.priority ?? null,
    });
  }),
  change(services, "/ha/membership/promote", "Make a learner a voter", NODE_BODY, async (context) =>
    cluster.promoteMember((await readJson(context, NODE_BODY)).node_id),
  ),
  change(services, "/ha/membership/remove", "Remove a node", NODE_BODY, async (context) =>
    cluster.removeMember((await readJson(context, NODE_BODY)).node_id),
  ),
  transfer(services, cluster),
];

const transfer = ({ errorMapper }: Services, cluster: ClusterApi): Endpoint => ({
  ...CHANGE,
  path: "/ha/leader/transfer",
  docs: {
    summary: "Hand leadership over",
    tag: "cluster",
    body: TRANSFER_BODY,
    answer: TRANSFERRED,
    errors: CHANGE_ERRORS,
  },
  handle: async (context) => {
    const { node_id = null } = await readOptionalJson(context, TRANSFER_BODY);
    const result = await cluster.transferLeadership(node_id);
    if (!result.ok) return errorMapper.answer(context, result);
    return json<api.Transferred>({ ok: true, target: result.target });
  },
});

function change(
  { errorMapper }: Services,
  path: string,
  summary: string,
  body: typeof ADD_BODY | typeof NODE_BODY,
  run: (context: RequestContext) => Promise<Result<object, MemberReject>>,
): Endpoint {
  return {
    ...CHANGE,
    path,
    docs: { summary, tag: "cluster", body, answer: OK, errors: CHANGE_ERRORS },
    handle: async (context) => {
      const result = await run(context);
      return result.ok ? json<Ok>({ ok: true }) : errorMapper.answer(context, result);
    },
  };
}

/** @throws ApiError if the value is neither `host:port` nor `http://host:port`. */
function hostAndPort(field: string, text: string): { host: string; port: number } {
  const match = /^(?:https?:\/\/)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253}):(\d{1,5})\/?$/i.exec(
    text,
  );
  const port = parseDecimal(match?.[2] ?? "");
  if (match === null || port === null || port < 1 || port > 65_535) {
    throw new ApiError(
      "invalid_request",
      `${field} must be host:port, not ${JSON.stringify(text)}`,
    );
  }
  return { host: (match[1] ?? "").replace(/^\[|\]$/g, ""), port };
}

const shown = (
  { compat, options: { tls } }: Services,
  { epoch, jointActive, nodes, leaderId, term }: Membership,
) => ({
  epoch,
  joint_active: jointActive,
  node_count: nodes.length,
  nodes: nodes.map((node) => ({
    index: node.index,
    node_id: node.nodeId,
    advertise_addr: compat.memberAddress(node.advertiseAddr, tls?.peers === true),
    http_addr: compat.memberAddress(node.httpAddr, tls?.http === true),
    priority: node.priority,
    is_voter: node.isVoter,
    is_learner: node.isLearner,
    role: node.role,
    match_index: node.matchIndex,
    healthy: node.healthy,
  })),
  leader_id: leaderId,
  term,
});
