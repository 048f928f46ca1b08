/** Members of a group: they join, read, commit, leave, and share the partitions of topics. */

import { NO_QUERY } from "../../api/common.ts";
import {
  GROUP_JOINED,
  GROUP_LEFT,
  GROUP_MESSAGES_QUERY,
  GROUP_PAGE,
  type GroupJoined,
  type GroupLeft,
  JOIN_GROUP_BODY,
  LEASE_MS_DEFAULT,
  LEAVE_GROUP_BODY,
  MEMBER_COMMIT_BODY,
  MEMBER_COMMITTED,
  type MemberCommitted,
  type OwnedPartition as OwnedBody,
  SEEK_BODY,
  SOUGHT,
  type Sought,
} from "../../api/groups.ts";
import type { MemberPage, MemberRef, OwnedPartition } from "../../node/api.ts";
import { PIECE_BYTES } from "../answer-streams.ts";
import { readJson } from "../body.ts";
import { ApiError, type ErrorCode } from "../errors.ts";
import { knownGroup, topicsOfGroup, topicsWithin } from "../group-topics.ts";
import { demandKnown } from "../known.ts";
import { ANSWERS_FULL } from "../middleware.ts";
import { checkMember } from "../names.ts";
import { countConsumed, PageWriter, topicFraming } from "../page-writer.ts";
import { queryReader } from "../query.ts";
import type { Endpoint, RequestContext } from "../request-context.ts";
import { headOfPieces, hotJson, json } from "../responses.ts";
import type { Services } from "../services.ts";
import { whenCurrent } from "../when-current.ts";

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1000;
const PAGE_BYTES_MAX = 4 * 1024 * 1024;
const MEMBER_ERRORS: readonly ErrorCode[] = [
  "invalid_group",
  "not_a_member",
  "cluster_not_upgraded",
  "commit_timeout",
];

const writer = new PageWriter();
const readMessagesQuery = queryReader(GROUP_MESSAGES_QUERY);

export const groupMemberEndpoints = (services: Services): readonly Endpoint[] => [
  join(services),
  messages(services),
  commit(services),
  leave(services),
  seek(services),
];

const join = (services: Services): Endpoint => ({
  method: "POST",
  path: "/broker/groups/:group/join",
  access: { kind: "body", scope: "read" },
  leaderOnly: true,
  byLink: true,
  query: NO_QUERY,
  docs: {
    summary: "Become a member of a group, which shares the partitions of its topics",
    tag: "consume",
    body: JOIN_GROUP_BODY,
    answer: GROUP_JOINED,
    errors: [
      "invalid_group",
      "invalid_topic",
      "topic_not_found",
      "too_many_groups",
      "too_many_members",
      "too_many_group_partitions",
      "cluster_not_upgraded",
      "commit_timeout",
    ],
  },
  handle: async (context) => {
    const group = context.path("group");
    const body = await readJson(context, JOIN_GROUP_BODY);
    const topics = [...new Set(body.topics)];
    for (const topic of topics) context.demand("read", topic);
    // Joining again replaces the topics of the member, which may be another client's.
    if (body.member !== undefined)
      await demandTopics(services, context, { group, member: body.member });
    const member = body.member ?? newName();
    const leaseMs = body.lease_ms ?? LEASE_MS_DEFAULT;
    const result = await services.node.groups.join({ group, member, leaseMs, topics });
    if (!result.ok) return services.errorMapper.answer(context, result, about({ group, member }));
    return json<GroupJoined>({
      ok: true,
      member,
      lease_until_ms: result.leaseUntilMs,
      assigned: result.assigned.map(ownedBody),
    });
  },
});

const newName = (): string => `m-${crypto.randomUUID().slice(0, 18)}`;

const about = ({ group, member }: MemberRef): string => `group "${group}", member "${member}"`;

const ownedBody = ({ topic, partition, generation, nextOffset }: OwnedPartition): OwnedBody => ({
  topic,
  partition,
  generation,
  next_offset: nextOffset,
});

/** The token must cover all topics that the member has joined with. */
async function demandTopics(
  { node }: Services,
  context: RequestContext,
  member: MemberRef,
): Promise<void> {
  if (context.principal.may("read", null)) return;
  await whenCurrent(node);
  for (const topic of await node.groups.topicsOfMember(member)) context.demand("read", topic);
}

const messages = (services: Services): Endpoint => ({
  method: "GET",
  path: "/broker/groups/:group/messages",
  access: { kind: "list", scope: "read" },
  leaderOnly: true,
  byLink: true,
  isPoll: true,
  query: GROUP_MESSAGES_QUERY,
  docs: {
    summary: "Records of all partitions that a member owns; renews its lease",
    tag: "consume",
    answer: GROUP_PAGE,
    errors: [...MEMBER_ERRORS, "data_damaged"],
  },
  handle: async (context) => {
    const group = context.path("group");
    const query = readMessagesQuery(context);
    if (query.member === null) {
      throw new ApiError("invalid_parameter", "member is required: the name that join has told");
    }
    const member = { group, member: checkMember(query.member) };
    await demandTopics(services, context, member);
    // A HEAD must not take records that it does not return.
    if (context.isHead) return headOfPieces(new Headers({ "content-type": "application/json" }));
    // Rejected before the node counts the records as delivered.
    if (!services.answers.budget.hasRoom(PIECE_BYTES)) {
      services.options.instruments.answersRefused.value++;
      return services.errorMapper.overloaded(ANSWERS_FULL);
    }
    const waitMs = query.wait_ms ?? 0;
    if (waitMs > 0) services.allowLong(context.request);
    const page = await services.node.groups.read({
      ...member,
      limit: Math.min(query.limit ?? LIMIT_DEFAULT, LIMIT_MAX),
      // 0 is one record, as for a consume.
      maxBytes: Math.max(1, Math.min(query.max_bytes ?? PAGE_BYTES_MAX, PAGE_BYTES_MAX)),
      waitMs: services.stopping.aborted ? 0 : waitMs,
      signal: AbortSignal.any([context.request.signal, services.stopping]),
    });
    if (!page.ok) return services.errorMapper.answer(context, page, about(member));
    return pageAnswer(services, context, page, query.encoding !== null);
  },
});

function pageAnswer(
  services: Services,
  context: RequestContext,
  page: MemberPage,
  base64: boolean,
): Response {
  const { records, positions, assigned, revoked, leaseUntilMs } = page;
  writer.begin();
  writer.text('{"messages":[');
  let count = 0;
  for (const { topic, partition, startOffset, nextOffset, slices } of records) {
    if (count > 0) writer.text(",");
    const all = Number.POSITIVE_INFINITY;
    const whole = {
      slices,
      first: null,
      topicId: 0,
      startOffset,
      committedOffset: null,
      lowWatermark: startOffset,
      endOffset: nextOffset,
    };
    const limits = { partition, limit: all, maxBytes: all, base64 };
    writer.messages(whole, limits, topicFraming(topic), all);
    count += writer.count;
  }
  countConsumed(services.options.instruments, writer);
  const rest = {
    count,
    positions: positions.map(ownedBody),
    assigned: assigned.map(ownedBody),
    revoked: revoked.map(({ topic, partition }) => ({ topic, partition })),
    lease_until_ms: leaseUntilMs,
  };
  writer.text(`],${JSON.stringify(rest).slice(1)}`);
  return hotJson(context.request, writer.written);
}

const commit = (services: Services): Endpoint => ({
  method: "POST",
  path: "/broker/groups/:group/commit",
  access: { kind: "body", scope: "read" },
  leaderOnly: true,
  byLink: true,
  query: NO_QUERY,
  docs: {
    summary: "Store how far a member is; what it does not own any more is fenced; renews its lease",
    tag: "consume",
    body: MEMBER_COMMIT_BODY,
    answer: MEMBER_COMMITTED,
    errors: [...MEMBER_ERRORS, "invalid_topic", "too_many_offsets"],
  },
  handle: async (context) => {
    const group = context.path("group");
    const { member, offsets } = await readJson(context, MEMBER_COMMIT_BODY);
    for (const topic of new Set(offsets.map((each) => each.topic))) context.demand("read", topic);
    await demandTopics(services, context, { group, member });
    const result = await services.node.groups.commit({ group, member, offsets });
    if (!result.ok) return services.errorMapper.answer(context, result, about({ group, member }));
    const results = result.results.map((each) => {
      const { topic, partition } = each;
      if (each.ok) {
        const clamped = each.clamped ? ({ clamped: true } as const) : {};
        return {
          topic,
          partition,
          ok: true as const,
          committed_offset: each.committedOffset,
          ...clamped,
        };
      }
      const owner = each.code === "fenced" && each.owner !== null ? { owner: each.owner } : {};
      return { topic, partition, ok: false as const, error: each.code, ...owner };
    });
    return json<MemberCommitted>({ ok: true, results, lease_until_ms: result.leaseUntilMs });
  },
});

const leave = (services: Services): Endpoint => ({
  method: "POST",
  path: "/broker/groups/:group/leave",
  access: { kind: "list", scope: "read" },
  leaderOnly: true,
  byLink: true,
  query: NO_QUERY,
  docs: {
    summary: "Leave a group: the partitions of the member go to the others at once",
    tag: "consume",
    body: LEAVE_GROUP_BODY,
    answer: GROUP_LEFT,
    errors: MEMBER_ERRORS,
  },
  handle: async (context) => {
    const group = context.path("group");
    const { member } = await readJson(context, LEAVE_GROUP_BODY);
    await demandTopics(services, context, { group, member });
    const result = await services.node.groups.leave({ group, member });
    if (!result.ok) return services.errorMapper.answer(context, result, about({ group, member }));
    return json<GroupLeft>({ ok: true, group, member });
  },
});

const seek = (services: Services): Endpoint => ({
  method: "POST",
  path: "/broker/groups/:group/seek",
  access: { kind: "list", scope: "admin" },
  leaderOnly: true,
  query: NO_QUERY,
  docs: {
    summary: "Set the committed offsets of a group, forwards or back",
    tag: "consume",
    body: SEEK_BODY,
    answer: SOUGHT,
    errors: [
      "invalid_group",
      "invalid_topic",
      "group_not_found",
      "topic_not_found",
      "partition_not_found",
      "too_many_offsets",
      "data_damaged",
      "cluster_not_upgraded",
      "commit_timeout",
    ],
  },
  handle: async (context) => {
    const group = context.path("group");
    const { topic = null, partition = null, to } = await readJson(context, SEEK_BODY);
    if (partition !== null && topic === null) {
      throw new ApiError("invalid_field", 'Field "partition" needs the field "topic"');
    }
    const known = knownGroup(services, group, "admin");
    if (topic !== null) context.demand("admin", topic);
    await demandKnown(services, context, {
      ...known,
      topics: async () => {
        const topics = await topicsOfGroup(services, group);
        return topic === null ? topics : topicsWithin(context, "admin", topics);
      },
    });
    const { node, errorMapper } = services;
    const result = await node.groups.seek({ group, topic, partition, to: goalOf(to) });
    if (!result.ok) {
      const place = topic === null ? "" : `, topic "${topic}"`;
      return errorMapper.answer(context, result, `group "${group}"${place}`);
    }
    const offsets = result.offsets.map((each) => ({
      topic: each.topic,
      partition: each.partition,
      committed_offset: each.committedOffset,
      ...(each.clamped ? ({ clamped: true } as const) : {}),
    }));
    return json<Sought>({ ok: true, group, offsets });
  },
});

type SeekTo = "earliest" | "latest" | { readonly time_ms: number } | { readonly offset: number };

function goalOf(to: SeekTo) {
  if (typeof to === "string") return to;
  return "offset" in to ? { offset: to.offset } : { timeMs: to.time_ms };
}
