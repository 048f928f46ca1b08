import type { Grant, RateSpec, Scope, TokenSpec } from "./token-spec.ts";

const VERBS: readonly (readonly [Scope, string])[] = [
  ["read", "reads"],
  ["write", "writes"],
  ["admin", "administers"],
];

/** Says in plain words what a token may do, such as `reads all names, writes orders.*, no limit`. */
export function tokenWords({ grants, rate }: TokenSpec): string {
  const rights = VERBS.flatMap(([scope, verb]) => {
    const own = grants.filter((grant) => grant.scope === scope);
    return own.length === 0 ? [] : [`${verb} ${namesOf(own)}`];
  });
  return [...rights, rateWords(rate)].join(", ");
}

function namesOf(grants: readonly Grant[]): string {
  const names = grants.map((grant) => grant.names);
  return names.includes(null) ? "all names" : [...new Set(names)].join(" and ");
}

function rateWords(rate: RateSpec | null): string {
  if (rate === null) return "no limit";
  const { bucket, daily } = rate;
  const limits: string[] = [];
  if (bucket !== null) {
    limits.push(`${bucket.perSecond} requests a second with bursts of ${bucket.burst}`);
  }
  if (daily !== null) limits.push(`${daily} requests a day`);
  return `at most ${limits.join(" and ")}`;
}
