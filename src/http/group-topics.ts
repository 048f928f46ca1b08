/** The topics of a group, which decide which tokens may use it. */
import type { Known } from "./known.ts";
import type { RequestContext } from "./request-context.ts";
import type { Services } from "./services.ts";
import type { Scope } from "./token-spec.ts";

/** The topics that a group has joined or committed in. */
export async function topicsOfGroup({ node }: Services, group: string): Promise<readonly string[]> {
  const found = await node.groups.describe(group);
  if (found === null) return [];
  const joined = found.members.flatMap(({ topics }) => topics);
  return [...new Set([...joined, ...found.partitions.map(({ topic }) => topic)])];
}

/** A group as `demandKnown` takes it. */
export const knownGroup = (services: Services, group: string, scope: Scope): Known => ({
  scope,
  what: `group "${group}"`,
  topics: () => topicsOfGroup(services, group),
});

export const topicsWithin = (
  { principal }: RequestContext,
  scope: Scope,
  topics: readonly string[],
): readonly string[] => topics.filter((topic) => principal.may(scope, topic));
