import { parseArgs } from "node:util";
import { SECTIONS, SETTINGS, type Setting } from "./settings.ts";

export type Invocation =
  | { readonly command: "serve"; readonly flags: ReadonlyMap<string, string> }
  | { readonly command: "help" }
  | { readonly command: "version" };

/** The command line cannot be understood; the message says which part. Exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const allSettings = (): readonly Setting[] => Object.values(SETTINGS);

/** @throws UsageError for an unknown command, flag, or a flag without its value. */
export function parseCommandLine(args: readonly string[]): Invocation {
  const options: Record<string, { type: "string" | "boolean"; short?: string }> = {
    help: { type: "boolean", short: "h" },
    version: { type: "boolean", short: "v" },
  };
  for (const { flag } of allSettings()) if (flag !== undefined) options[flag] = { type: "string" };
  const { values, positionals } = parse(args, options);
  const [command = "serve", ...rest] = positionals;
  if (values["help"] === true || command === "help") return { command: "help" };
  if (values["version"] === true || command === "version") return { command: "version" };
  if (command !== "serve" || rest.length > 0) {
    throw new UsageError(`unknown command: ${[command, ...rest].join(" ")}`);
  }
  const flags = new Map<string, string>();
  for (const [name, value] of Object.entries(values)) {
    if (typeof value === "string") flags.set(name, value);
  }
  return { command: "serve", flags };
}

function parse(
  args: readonly string[],
  options: Record<string, { type: "string" | "boolean"; short?: string }>,
) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** The text of `--help`: flags first, then every setting by section. */
export function helpText(version: string): string {
  const lines = [
    `ayder ${version}: an HTTP-native durable event log`,
    "",
    "Usage: ayder [serve] [--port N] [--host ADDR] [--data-dir DIR] [flags]",
    "",
  ];
  for (const section of SECTIONS) {
    lines.push(`${section}:`);
    for (const setting of allSettings()) {
      if (setting.section === section) lines.push(`  ${settingLine(setting)}`);
    }
    lines.push("");
  }
  lines.push("  -h, --help     this text", "  -v, --version  the version", "");
  return lines.join("\n");
}

function settingLine(setting: Setting): string {
  const names = [
    ...(setting.flag === undefined ? [] : [`--${setting.flag}`]),
    ...setting.variables,
  ];
  const unset = setting.default === "" ? "" : ` (${setting.default})`;
  return `${names.join(", ").padEnd(34)} ${setting.help.replaceAll("`", "")}${unset}`;
}

/** The same table as Markdown, for the README; a test compares. */
export function settingsTable(): string {
  const lines: string[] = [];
  for (const section of SECTIONS) {
    lines.push(`**${section}**`, "", "| setting | default | what it does |", "|---|---|---|");
    for (const setting of allSettings()) {
      if (setting.section !== section) continue;
      const flag = setting.flag === undefined ? [] : [`\`--${setting.flag}\``];
      const names = [...flag, ...setting.variables.map((name) => `\`${name}\``)].join(", ");
      const value = setting.default === "" ? "" : `\`${setting.default}\``;
      lines.push(`| ${names} | ${value} | ${setting.help.replaceAll("|", "\\|")} |`);
    }
    lines.push("");
  }
  return lines.join("\n");
}
