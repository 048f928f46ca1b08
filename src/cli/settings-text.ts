/** The table of settings as text, for `ayder settings` and the manual. */
import { SECTIONS, SETTINGS, type Setting } from "../config/settings.ts";

const NAMES_COLUMN = 34;

export const allSettings = (): readonly Setting[] => Object.values(SETTINGS);

/** Returns every setting by section, for people. */
export function settingsText(): string {
  const lines: string[] = [];
  for (const section of SECTIONS) {
    lines.push(`${section}:`);
    for (const setting of allSettings()) {
      if (setting.section === section) lines.push(`  ${settingLine(setting)}`);
    }
    lines.push("");
  }
  return lines.join("\n");
}

function settingLine(setting: Setting): string {
  const names = [
    ...(setting.flag === undefined ? [] : [`--${setting.flag}`]),
    ...setting.variables,
  ];
  const unset = setting.default === "" ? "" : ` (${setting.default})`;
  return `${names.join(", ").padEnd(NAMES_COLUMN)} ${setting.help.replaceAll("`", "")}${unset}`;
}

/** Returns the same table as Markdown, for the manual; a test compares. */
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
