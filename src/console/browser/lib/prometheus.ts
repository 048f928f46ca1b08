/** Parses Prometheus text, and computes quantiles from the difference of two scrapes. */

export type Sample = { readonly labels: Readonly<Record<string, string>>; readonly value: number };

/** The samples of one scrape. */
export type Scrape = ReadonlyMap<string, readonly Sample[]>;

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

export function parseMetrics(text: string): Scrape {
  const scrape = new Map<string, Sample[]>();
  for (const line of text.split("\n")) {
    const [, name, labelText = "", value = ""] = LINE.exec(line) ?? [];
    if (name === undefined) continue;
    const labels: Record<string, string> = {};
    for (const [, label = "", escaped = ""] of labelText.matchAll(LABEL)) {
      labels[label] = escaped.replaceAll(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c));
    }
    const samples = scrape.get(name);
    const sample = { labels, value: Number(value) };
    if (samples === undefined) scrape.set(name, [sample]);
    else samples.push(sample);
  }
  return scrape;
}

export type Where = (labels: Sample["labels"]) => boolean;
const everywhere: Where = () => true;

export function sumOf(scrape: Scrape, name: string, where: Where = everywhere): number {
  let sum = 0;
  for (const { labels, value } of scrape.get(name) ?? []) if (where(labels)) sum += value;
  return sum;
}

/**
 * A quantile of the observations between two scrapes, by linear interpolation in its bucket.
 *
 * @returns null if there were no observations.
 */
export function quantile(
  q: number,
  before: Scrape,
  after: Scrape,
  name: string,
  where: Where = everywhere,
): number | null {
  const counts = new Map<string, number>();
  for (const [scrape, sign] of [
    [after, 1],
    [before, -1],
  ] as const) {
    for (const { labels, value } of scrape.get(`${name}_bucket`) ?? []) {
      const le = labels["le"] ?? "";
      if (where(labels)) counts.set(le, (counts.get(le) ?? 0) + sign * value);
    }
  }
  const buckets = [...counts]
    .map(([le, total]) => ({ le: le === "+Inf" ? Number.POSITIVE_INFINITY : Number(le), total }))
    .sort((a, b) => a.le - b.le);
  return inBuckets(q, buckets);
}

function inBuckets(q: number, buckets: readonly { le: number; total: number }[]): number | null {
  const all = buckets.at(-1)?.total ?? 0;
  if (all <= 0) return null;
  const rank = q * all;
  let from = 0;
  let below = 0;
  for (const { le, total } of buckets) {
    if (total >= rank && total > below) {
      return Number.isFinite(le) ? from + ((le - from) * (rank - below)) / (total - below) : from;
    }
    if (Number.isFinite(le)) from = le;
    below = total;
  }
  return from;
}
