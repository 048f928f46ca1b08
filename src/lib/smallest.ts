/** Texts that are collected, per text that is wanted, before the later ones are dropped. */
const COLLECTED_PER_WANTED = 4;

/**
 * Returns the first texts in their order. If there are very many, only a few times as many as are wanted
 * are sorted.
 */
export function smallest(texts: Iterable<string>, wanted: number): string[] {
  const most = wanted * COLLECTED_PER_WANTED;
  let found: string[] = [];
  let last: string | null = null;
  for (const text of texts) {
    if (last !== null && text >= last) continue;
    found.push(text);
    if (found.length < most) continue;
    found = found.sort().slice(0, wanted);
    last = found.at(-1) ?? null;
  }
  return found.sort().slice(0, wanted);
}
