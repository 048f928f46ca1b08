/** Reads `Accept` and `Accept-Encoding` by weight (RFC 9110, section 12.5). */

type Preference = {
  /** Lower case, without parameters. */
  readonly name: string;
  readonly weight: number;
};

/** Elements are separated by commas; a comma within a quoted string belongs to its element. */
const ELEMENTS = /(?:[^,"]|"(?:\\.|[^"\\])*")+/g;
const WEIGHT = /;[ \t]*q[ \t]*=[ \t]*([^;\s]*)[ \t]*(?:;|$)/i;
const VALID_WEIGHT = /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/;

/** Elements with a malformed weight are left out. */
function preferencesIn(header: string): readonly Preference[] {
  return (header.match(ELEMENTS) ?? []).flatMap((element) => {
    const name = (element.split(";", 1)[0] ?? "").trim().toLowerCase();
    const weight = WEIGHT.exec(element)?.[1] ?? "1";
    return name === "" || !VALID_WEIGHT.test(weight) ? [] : [{ name, weight: Number(weight) }];
  });
}

type Match = { readonly weight: number; readonly specificity: number; readonly position: number };

/** The most specific element that names the media type decides its weight. */
function matchOf(mediaType: string, preferences: readonly Preference[]): Match | null {
  const family = `${mediaType.slice(0, mediaType.indexOf("/"))}/*`;
  const spellings = ["*/*", family, mediaType];
  let best: Match | null = null;
  for (const [position, { name, weight }] of preferences.entries()) {
    const specificity = spellings.indexOf(name);
    if (specificity > (best?.specificity ?? -1)) best = { weight, specificity, position };
  }
  return best;
}

/** Positive if `a` is to be preferred. Between equal weights, the one that is named, then the first. */
const compare = (a: Match, b: Match): number =>
  a.weight - b.weight || a.specificity - b.specificity || b.position - a.position;

/**
 * Returns the media type to answer with.
 *
 * @param offers what the route can answer, the default first. It is also the answer if the header
 *   names none of them, as long as the header does not exclude it with `q=0`.
 */
export function chooseMediaType<T extends string>(
  accept: string | null,
  offers: readonly [T, ...T[]],
): T {
  const [fallback] = offers;
  if (accept === null || accept === "*/*" || accept === fallback) return fallback;
  const preferences = preferencesIn(accept);
  let chosen: T | null = null;
  let best: Match | null = null;
  const refused = new Set<T>();
  for (const offer of offers) {
    const match = matchOf(offer, preferences);
    if (match === null) continue;
    if (match.weight === 0) refused.add(offer);
    else if (best === null || compare(match, best) > 0) {
      chosen = offer;
      best = match;
    }
  }
  return chosen ?? offers.find((offer) => !refused.has(offer)) ?? fallback;
}

/** Content codings that answers can have, the preferred one first. */
const CODINGS = ["zstd", "gzip"] as const;
export type Coding = (typeof CODINGS)[number];

/**
 * Returns the content coding to answer with, or null for none.
 *
 * @param offers codings that the answer can have, the preferred one first.
 */
export function chooseEncoding<T extends string>(
  acceptEncoding: string | null,
  offers: readonly T[],
): T | null {
  if (acceptEncoding === null || acceptEncoding === "") return null;
  const preferences = preferencesIn(acceptEncoding);
  let chosen: T | null = null;
  let best: Match | null = null;
  for (const offer of offers) {
    const match = codingMatch(offer, preferences);
    if (match.weight > 0 && (best === null || isPreferred(match, best))) {
      chosen = offer;
      best = match;
    }
  }
  const identity = preferences.find(({ name }) => name === "identity")?.weight ?? 0;
  return best === null || identity > best.weight ? null : chosen;
}

/** Between equal weights, the one that is named. */
const isPreferred = (a: Match, b: Match): boolean =>
  a.weight > b.weight || (a.weight === b.weight && a.specificity > b.specificity);

/** `x-gzip` is an old name of `gzip`. `*` stands for every coding that is not named. */
function codingMatch(coding: string, preferences: readonly Preference[]): Match {
  const named = preferences.find(({ name }) => name === coding || name === `x-${coding}`);
  if (named !== undefined) return { weight: named.weight, specificity: 1, position: 0 };
  const any = preferences.find(({ name }) => name === "*");
  return { weight: any?.weight ?? 0, specificity: 0, position: 0 };
}

/** Most clients send the same header with each request. */
let last: { readonly header: string; readonly coding: Coding | null } = {
  header: "",
  coding: null,
};

/** The coding for an answer that is compressed on its way. A client that has zstd names it. */
export function codingOf(acceptEncoding: string | null): Coding | null {
  if (acceptEncoding === null) return null;
  if (last.header === acceptEncoding) return last.coding;
  const offers = /zstd/i.test(acceptEncoding) ? CODINGS : (["gzip"] as const);
  last = { header: acceptEncoding, coding: chooseEncoding<Coding>(acceptEncoding, offers) };
  return last.coding;
}
