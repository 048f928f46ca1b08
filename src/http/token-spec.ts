/**
 * `RF_BEARER_TOKENS` of CONTRACT 9: `token[@spec][:token…]` joined by commas. A spec that begins
 * with a digit is `rps[:burst[:daily]]` for that one token. Any other spec is scopes joined by `+`.
 * Further tokens of an entry have the spec of the first one.
 */
import { parseDecimal } from "../lib/parse.ts";

export type Scope = "read" | "write" | "admin";
export type Grant = {
  readonly scope: Scope;
  /** The names as the operator wrote them, such as `orders.*`; null: every name. */
  readonly names: string | null;
  /** Matches these names; null: every name. */
  readonly pattern: RegExp | null;
};
export type RateSpec = {
  /** Null: no limit by the second. */
  readonly bucket: { readonly perSecond: number; readonly burst: number } | null;
  /** Requests a day (UTC); null: no such limit. */
  readonly daily: number | null;
};
export type TokenSpec = {
  readonly token: string;
  readonly grants: readonly Grant[];
  readonly rate: RateSpec | null;
};

/** The message never contains a token. It names the entry by its number. */
export class TokenSpecError extends Error {
  override readonly name = "TokenSpecError";
}

const SCOPES: readonly Scope[] = ["read", "write", "admin"];
export const ALL_GRANTS: readonly Grant[] = SCOPES.map((scope) => ({
  scope,
  names: null,
  pattern: null,
}));
/** Visible ASCII without the separators. */
const TOKEN = /^[!-~]+$/;
/** Only names from the root, which are paths of durable streams, contain slashes. */
const NAME_PATTERN = /^(?:[A-Za-z0-9._*-]+|\/[A-Za-z0-9._*/-]+)$/;
/** A scope with or without names, or several, in any case: it is never meant as a token. */
const SCOPE_TEXT =
  /^(all|read|write|admin|scope)(=[^+]*)?(\+(all|read|write|admin|scope)(=[^+]*)?)*$/i;

/** @throws TokenSpecError that says which entry cannot be used and why. */
export function parseTokenSpecs(text: string): readonly TokenSpec[] {
  const entries = text.split(",").map((entry) => entry.trim());
  refuseScopeAsToken(entries);
  const seen = new Set<string>();
  return entries.flatMap((entry, index) => {
    const refuse: Refuse = (why) => new TokenSpecError(`${entryName(index)}: ${why}`);
    const specs = parseEntry(entry, refuse);
    for (const { token } of specs) {
      if (seen.has(token)) throw refuse("a token is given twice");
      seen.add(token);
    }
    return specs;
  });
}

/** @throws TokenSpecError for a token that no request could show. */
export function checkMetricsToken(token: string): string {
  // Two Authorization headers arrive joined by a comma.
  if (TOKEN.test(token) && !token.includes(",")) return token;
  throw new TokenSpecError("RF_METRICS_TOKEN must be visible ASCII without commas and spaces");
}

const entryName = (index: number): string => `RF_BEARER_TOKENS, entry ${index + 1}`;

type Refuse = (why: string) => TokenSpecError;
/** The parts of an entry; `spec` is null without one. */
type Split = { readonly tokens: readonly string[]; readonly spec: string | null };

function split(entry: string): Split {
  const at = entry.indexOf("@");
  if (at < 0) return { tokens: entry.split(":"), spec: null };
  const token = entry.slice(0, at);
  const rest = entry.slice(at + 1);
  if (/^[0-9]/.test(rest)) return { tokens: [token], spec: rest };
  const [spec = "", ...others] = rest.split(":");
  return { tokens: [token, ...others], spec };
}

function parseEntry(entry: string, refuse: Refuse): TokenSpec[] {
  const { tokens, spec } = split(entry);
  for (const token of tokens) {
    if (token === "") throw refuse("a token is empty");
    if (!TOKEN.test(token) || /[@:]/.test(token)) {
      throw refuse("a token must be visible ASCII without , : @ and spaces, its @spec before a :");
    }
  }
  const isRate = spec !== null && /^[0-9]/.test(spec);
  const rate = isRate ? parseRate(spec, refuse) : null;
  const grants = isRate || spec === null ? ALL_GRANTS : parseScopes(spec, refuse);
  return tokens.map((token) => ({ token, grants, rate }));
}

/**
 * `app@read,write` would create a token `write` that may do everything. A scope where a token is
 * expected is therefore an error, which tells what was meant.
 */
function refuseScopeAsToken(entries: readonly string[]): void {
  let before = "";
  for (const [index, entry] of entries.entries()) {
    const { tokens, spec } = split(entry);
    const scopes = spec !== null && SCOPE_TEXT.test(spec) ? spec : "";
    const first = tokens.findIndex((token) => SCOPE_TEXT.test(token));
    if (first < 0) {
      before = scopes;
      continue;
    }
    // Those behind a real token of the same entry belong to it, as in `app:read` and `app@read:write`.
    const owned = first > 0 ? scopes : before;
    const wrong = tokens.slice(first).filter((token) => SCOPE_TEXT.test(token));
    const later = first > 0 ? [] : followers(entries.slice(index + 1));
    const meant = [owned, ...wrong, ...later].filter((part) => part !== "").join("+");
    throw new TokenSpecError(
      `${entryName(index)}: "${wrong[0]}" is a scope where a token is expected; scopes of one token are joined by +, as in app@${meant}`,
    );
  }
}

/** The entries from the first one on that are nothing but scopes. */
function followers(entries: readonly string[]): readonly string[] {
  const end = entries.findIndex((entry) => !SCOPE_TEXT.test(entry));
  return end < 0 ? entries : entries.slice(0, end);
}

/** Null where nothing is limited. */
function parseRate(spec: string, refuse: Refuse): RateSpec | null {
  const parts = spec.split(":");
  if (parts.length > 3 || !parts.every((part) => /^[1-9][0-9]*$/.test(part))) {
    throw refuse(`the limits "${spec}" are not rps[:burst[:daily]] with integers of at least 1`);
  }
  // Larger numbers than 2^53-1 are null here: scripts of the C implementation write them for "no limit".
  const [perSecond = null, burst = perSecond, daily = null] = parts.map(parseDecimal);
  const bucket = perSecond === null || burst === null ? null : { perSecond, burst };
  return bucket === null && daily === null ? null : { bucket, daily };
}

const parseScopes = (text: string, refuse: Refuse): Grant[] =>
  text.split("+").flatMap((part) => parseScope(part, refuse));

function parseScope(part: string, refuse: Refuse): readonly Grant[] {
  const equals = part.indexOf("=");
  const word = equals < 0 ? part : part.slice(0, equals);
  const names = equals < 0 ? null : part.slice(equals + 1);
  const pattern = names === null ? null : patternOf(names, refuse);
  const grant = (scope: Scope): Grant => ({
    scope,
    names: pattern === null ? null : names,
    pattern,
  });
  // The original's README has the word "scope" where a scope goes.
  if (word === "all" || word === "scope") return SCOPES.map(grant);
  const scope = SCOPES.find((each) => each === word);
  if (scope === undefined) {
    throw refuse(
      "a scope must be all, read, write or admin, optionally with =names; several are joined by +, as in app@read=orders.*+write=orders.*",
    );
  }
  return [grant(scope)];
}

/** `*` stands for any run of characters; everything else for itself. */
function patternOf(text: string, refuse: Refuse): RegExp | null {
  if (!NAME_PATTERN.test(text)) {
    throw refuse(
      "the names of a scope must be made of A-Z a-z 0-9 . _ - and *, and of / if they begin with it",
    );
  }
  if (/^\*+$/.test(text)) return null;
  const parts = text
    .replace(/^\//, "")
    .split(/\*+/)
    .map((part) => part.replaceAll(".", "\\."));
  return new RegExp(`^${parts.join(".*")}$`);
}
