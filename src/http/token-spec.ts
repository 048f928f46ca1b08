/**
 * `RF_BEARER_TOKENS` of CONTRACT 9: `token[@spec][:token…]` joined by commas. A spec that begins
 * with a digit is `rps[:burst[:daily]]` for that one token, else scopes joined by `+`. Further
 * tokens of an entry have the spec of the first.
 */
import { parseDecimal } from "../lib/parse.ts";

export type Scope = "read" | "write" | "admin";
/** Null pattern: every name. */
export type Grant = { readonly scope: Scope; readonly pattern: RegExp | null };
export type RateSpec = {
  readonly perSecond: number;
  readonly burst: number;
  /** Requests a day (UTC); null: no such limit. */
  readonly daily: number | null;
};
export type TokenSpec = {
  readonly token: string;
  readonly grants: readonly Grant[];
  readonly rate: RateSpec | null;
};

/** The message never holds a token: it names the entry by its number. */
export class TokenSpecError extends Error {
  override readonly name = "TokenSpecError";
}

const SCOPES: readonly Scope[] = ["read", "write", "admin"];
export const ALL_GRANTS: readonly Grant[] = SCOPES.map((scope) => ({ scope, pattern: null }));
/** Visible ASCII but the separators. */
const TOKEN = /^[!-~]+$/;
const NAME_PATTERN = /^[A-Za-z0-9._*-]+$/;

/** @throws TokenSpecError that says which entry cannot be used and why. */
export function parseTokenSpecs(text: string): readonly TokenSpec[] {
  const specs = text.split(",").flatMap((entry, index) => parseEntry(entry.trim(), index + 1));
  const seen = new Set<string>();
  for (const { token } of specs) {
    if (seen.has(token)) throw new TokenSpecError("RF_BEARER_TOKENS: a token is given twice");
    seen.add(token);
  }
  return specs;
}

function parseEntry(entry: string, number: number): TokenSpec[] {
  const refuse = (why: string) => new TokenSpecError(`RF_BEARER_TOKENS, entry ${number}: ${why}`);
  const at = entry.indexOf("@");
  if (at < 0) return tokensOf(entry, ALL_GRANTS, refuse);
  const token = entry.slice(0, at);
  const spec = entry.slice(at + 1);
  if (/^[0-9]/.test(spec)) {
    return tokensOf(token, ALL_GRANTS, refuse, parseRate(spec, refuse));
  }
  const colon = spec.indexOf(":");
  const scopes = colon < 0 ? spec : spec.slice(0, colon);
  const others = colon < 0 ? "" : spec.slice(colon);
  return tokensOf(token + others, parseScopes(scopes, refuse), refuse);
}

type Refuse = (why: string) => TokenSpecError;

function tokensOf(
  text: string,
  grants: readonly Grant[],
  refuse: Refuse,
  rate: RateSpec | null = null,
): TokenSpec[] {
  return text.split(":").map((token) => {
    if (token === "") throw refuse("a token is empty");
    if (!TOKEN.test(token) || token.includes("@")) {
      throw refuse("a token must be visible ASCII without , : @ and spaces");
    }
    return { token, grants, rate };
  });
}

function parseRate(spec: string, refuse: Refuse): RateSpec {
  const parts = spec.split(":");
  const numbers = parts.map(parseDecimal);
  if (parts.length > 3 || numbers.some((number) => number === null || number === 0)) {
    throw refuse(`the limits "${spec}" are not rps[:burst[:daily]] with integers of at least 1`);
  }
  const [perSecond, burst, daily] = numbers;
  return { perSecond: perSecond ?? 1, burst: burst ?? perSecond ?? 1, daily: daily ?? null };
}

const parseScopes = (text: string, refuse: Refuse): Grant[] =>
  text.split("+").flatMap((part) => parseScope(part, refuse));

function parseScope(part: string, refuse: Refuse): readonly Grant[] {
  const equals = part.indexOf("=");
  const word = equals < 0 ? part : part.slice(0, equals);
  const pattern = equals < 0 ? null : patternOf(part.slice(equals + 1), refuse);
  // The original's README has the word "scope" where a scope goes.
  if (word === "all" || word === "scope") return SCOPES.map((scope) => ({ scope, pattern }));
  const scope = SCOPES.find((each) => each === word);
  if (scope === undefined) {
    throw refuse("a scope must be all, read, write or admin, optionally with =names");
  }
  return [{ scope, pattern }];
}

/** `*` stands for any run of characters; everything else for itself. */
function patternOf(text: string, refuse: Refuse): RegExp | null {
  if (!NAME_PATTERN.test(text)) {
    throw refuse("the names of a scope must be made of A-Z a-z 0-9 . _ - and *");
  }
  if (text === "*") return null;
  const parts = text.split("*").map((part) => part.replaceAll(".", "\\."));
  return new RegExp(`^${parts.join(".*")}$`);
}
