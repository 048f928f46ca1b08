/**
 * Returns the first item of the largest group, so that a group which grows displaces its own items
 * before those of others. If groups have the same size, the one that began first loses its item.
 */
export function firstOfLargestGroup<Item>(
  items: Iterable<Item>,
  groupOf: (item: Item) => string,
): Item | undefined {
  let largest: readonly Item[] = [];
  for (const group of Map.groupBy(items, groupOf).values()) {
    if (group.length > largest.length) largest = group;
  }
  return largest[0];
}
