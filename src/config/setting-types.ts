/** The shape of a setting. The table of settings is in `config/settings.ts`. */

export type SettingKind = "text" | "path" | "integer" | "bytes" | "boolean" | "choice";

export type Setting = {
  /** Environment variables. The first one that is set is used. */
  readonly variables: readonly string[];
  /** Command-line flag without the dashes. It overrides the environment. */
  readonly flag?: string;
  readonly kind: SettingKind;
  /** Default value as an operator would write it; empty means unset. */
  readonly default: string;
  readonly choices?: readonly string[];
  /** Computes the value of `auto`, which then stands for a number. */
  readonly auto?: () => number;
  readonly min?: number;
  readonly max?: number;
  readonly help: string;
  readonly section: Section;
};

export const SECTIONS = [
  "Server",
  "Access",
  "Broker",
  "Limits",
  "Storage",
  "Cluster",
  "Compatibility",
] as const;
export type Section = (typeof SECTIONS)[number];
