/** The acknowledged writes, which must be there after any crash. */
export class Acknowledged {
  /** `partition` → offset → value. */
  readonly records = new Map<number, Map<number, string>>();
  /** Idempotency key → where its record is and what it says. */
  readonly keys = new Map<string, { partition: number; offset: number; value: string }>();
  /** `group/partition` → highest acknowledged committed offset. */
  readonly commits = new Map<string, number>();
  /** Key → last acknowledged value and revision; `unknown` holds values that may have won since. */
  readonly kv = new Map<string, { value: string; cas: number; unknown: Set<string> }>();
  /** `partition` → highest delete-before that was sent, and that was acknowledged. */
  readonly floors = new Map<number, number>();
  readonly ackedFloors = new Map<number, number>();
  /** Values that were sent and never answered: they may be there or not. */
  readonly unknown = new Set<string>();

  addRecord(partition: number, offset: number, value: string): void {
    let byOffset = this.records.get(partition);
    if (byOffset === undefined) {
      byOffset = new Map();
      this.records.set(partition, byOffset);
    }
    const before = byOffset.get(offset);
    if (before !== undefined && before !== value) {
      throw new Error(`two values at ${partition}/${offset}: ${before} and ${value}`);
    }
    byOffset.set(offset, value);
  }

  end(partition: number): number {
    let end = 0;
    for (const offset of this.records.get(partition)?.keys() ?? []) end = Math.max(end, offset + 1);
    return end;
  }

  get recordCount(): number {
    let count = 0;
    for (const byOffset of this.records.values()) count += byOffset.size;
    return count;
  }
}
