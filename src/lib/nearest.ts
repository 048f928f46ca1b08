/**
 * Number of letters to insert, delete, replace or swap with their neighbour (optimal string alignment).
 */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + +!same);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) least = Math.min(least, (before[j - 2] ?? 0) + 1);
      row.push(least);
    }
    before = last;
    last = row;
  }
  return last[b.length] ?? 0;
}

/** The word that is most similar to a misspelt one; null if none is similar enough. */
export function nearest(word: string, words: readonly string[]): string | null {
  let found: string | null = null;
  // A word with more than a third of its letters wrong counts as another word.
  let least = Math.max(1, Math.floor(word.length / 3));
  for (const each of words) {
    const distance = editDistance(word, each);
    if (distance > least || (distance === least && found !== null)) continue;
    found = each;
    least = distance;
  }
  return found;
}
