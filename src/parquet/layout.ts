/** Names of files below the place of an export. */
const DAY_MS = 86_400_000;

/** Days since 1970, in UTC. */
export const dayOf = (timestampMs: number): number => Math.floor(timestampMs / DAY_MS);
export const dayStartMs = (day: number): number => day * DAY_MS;

/** `2026-01-31` of a day since 1970, by the algorithm of Hinnant ("days from civil", reversed). */
export function dateText(day: number): string {
  const shifted = day + 719_468;
  const era = Math.floor(shifted / 146_097);
  const ofEra = shifted - era * 146_097;
  const year400 = Math.floor(
    (ofEra - Math.floor(ofEra / 1460) + Math.floor(ofEra / 36_524) - Math.floor(ofEra / 146_096)) /
      365,
  );
  const ofYear = ofEra - (365 * year400 + Math.floor(year400 / 4) - Math.floor(year400 / 100));
  const monthFromMarch = Math.floor((5 * ofYear + 2) / 153);
  const date = ofYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1;
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  const year = year400 + era * 400 + (month <= 2 ? 1 : 0);
  return `${pad(year, 4)}-${pad(month, 2)}-${pad(date, 2)}`;
}

const pad = (value: number, length: number): string => String(value).padStart(length, "0");

export type FilePlace = {
  readonly topic: string;
  readonly day: number;
  readonly partition: number;
  readonly first: number;
  readonly end: number;
};

/** `topic=…/date=YYYY-MM-DD/partition=…/<first>-<end>.parquet`; `end` is the offset after the last. */
export const pathOf = ({ topic, day, partition, first, end }: FilePlace): string =>
  `topic=${topic}/date=${dateText(day)}/partition=${partition}/${first}-${end}.parquet`;

const NAME = /(?:^|\/)topic=([^/]+)\/date=\d{4}-\d\d-\d\d\/partition=(\d+)\/(\d+)-(\d+)\.parquet$/;

/** The range of a file by its path; null for other files. */
export function rangeOf(
  path: string,
): { topic: string; partition: number; first: number; end: number } | null {
  const [, topic = "", partition, first, end] = NAME.exec(path) ?? [];
  if (topic === "") return null;
  return { topic, partition: Number(partition), first: Number(first), end: Number(end) };
}
