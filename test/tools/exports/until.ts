/** Asks again until there is an answer. @throws Error after a minute. */
export async function until<T>(ask: () => Promise<T | null | false>, said = () => ""): Promise<T> {
  const end = performance.now() + 15_000;
  for (;;) {
    const found = await ask();
    if (found !== null && found !== false) return found;
    if (performance.now() > end) throw new Error(`it did not happen within a minute${said()}`);
    await Bun.sleep(50);
  }
}
