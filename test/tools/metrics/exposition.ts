/** A strict reader of the Prometheus text format, version 0.0.4. */

const METADATA = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/;
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
const SAMPLE = new RegExp(
  `^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\\{(${LABEL}(?:,${LABEL})*)\\})? (-?[0-9.e+-]+|NaN|[+-]Inf)$`,
);

/**
 * @returns the series with their values, such as `a{b="c"}`.
 * @throws Error for a line that is not allowed: a series twice, a sample without HELP and TYPE
 *   before it, samples of one metric apart, labels twice.
 */
export function checkExposition(text: string): ReadonlyMap<string, number> {
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  const reader = new Reader();
  for (const line of text.slice(0, -1).split("\n")) {
    const metadata = METADATA.exec(line);
    if (metadata !== null) {
      const [, kind, name = "", rest = ""] = metadata;
      if (kind === "HELP") reader.help(name, line);
      else reader.type(name, rest, line);
    } else if (line !== "") reader.sample(line);
  }
  return reader.series;
}

class Reader {
  readonly series = new Map<string, number>();
  readonly #seen = new Set<string>();
  #helped = "";
  #metric = "";
  #type = "";

  help(name: string, line: string): void {
    if (this.#seen.has(name)) throw new Error(`a second time: ${line}`);
    this.#seen.add(name);
    this.#helped = name;
  }

  type(name: string, type: string, line: string): void {
    if (name !== this.#helped) throw new Error(`TYPE without HELP before it: ${line}`);
    if (name === this.#metric) throw new Error(`a second TYPE: ${line}`);
    if (!/^(counter|gauge|histogram)$/.test(type)) throw new Error(`unknown type: ${line}`);
    this.#metric = name;
    this.#type = type;
  }

  sample(line: string): void {
    const [, name = "", labels = "", value] = SAMPLE.exec(line) ?? [];
    const base = this.#type === "histogram" ? name.replace(/_(bucket|sum|count)$/, "") : name;
    if (value === undefined || base !== this.#metric) throw new Error(`out of place: ${line}`);
    const given = [...labels.matchAll(new RegExp(LABEL, "g"))].map(([label]) => label);
    const names = new Set(given.map((label) => label.slice(0, label.indexOf("="))));
    if (names.size !== given.length) throw new Error(`a label twice: ${line}`);
    const key = `${name}{${given.sort().join()}}`;
    if (this.series.has(key)) throw new Error(`a series twice: ${line}`);
    this.series.set(key, Number(value.replace("Inf", "Infinity")));
  }
}
