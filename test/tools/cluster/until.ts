const PATIENCE_MS = 60_000;

/** Waits until `look` finds something. @throws Error that names `what`, if it takes too long. */
export async function until<T>(what: string, look: () => Promise<T | null>): Promise<T> {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await Bun.sleep(50)) {
    const found = await look();
    if (found !== null) return found;
  }
  throw new Error(`not in time: ${what}`);
}
