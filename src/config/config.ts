import { parseDecimal } from "../lib/parse.ts";
import { isBareIPv6, wrongHost } from "./address.ts";
import { SETTINGS, type Setting, type SettingName } from "./settings.ts";
import { type UnknownVariable, unknownVariables } from "./unknown-variables.ts";

/**
 * The checked settings. `server/serve.ts` passes them on in parts; no lower layer imports this
 * file.
 */
export type Config = {
  readonly [Name in SettingName]: (typeof SETTINGS)[Name]["kind"] extends "integer" | "bytes"
    ? number
    : (typeof SETTINGS)[Name]["kind"] extends "boolean"
      ? boolean
      : string;
} & {
  /** True if the port was configured instead of left at its default. */
  readonly portGiven: boolean;
  /** Variables that are set but unknown. */
  readonly unknownVariables: readonly UnknownVariable[];
};

/** A setting that cannot be used; the message names it and says what is allowed. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * @param flags values by flag name, as given on the command line.
 * @throws ConfigError for the first value that is not allowed.
 */
export function readConfig(flags: ReadonlyMap<string, string>, environment: Environment): Config {
  const config: Record<string, unknown> = { unknownVariables: unknownVariables(environment) };
  for (const [name, setting] of Object.entries<Setting>(SETTINGS)) {
    const { text, source } = lookUp(setting, flags, environment);
    config[name] = parse(setting, text, source);
  }
  return splitHostAndPort(config as Config, flags, environment);
}

/** The environment of this process. It is read only here. */
// biome-ignore lint/style/noProcessEnv: this is the one place that reads it.
export const processEnvironment = (): Environment => process.env;

/** As `NO_PROXY` names them. No proxy reaches these addresses of this machine. */
const THIS_MACHINE = "localhost,127.0.0.0/8,::1,0.0.0.0,::";

/**
 * Exempts this machine from HTTP_PROXY for the whole process. Parts of the runtime, such as its S3
 * client, follow the environment only and would send requests to a server on loopback to the proxy.
 */
export function exemptThisMachine(): void {
  // biome-ignore lint/style/noProcessEnv: the runtime reads it there.
  const env = process.env;
  // The lower-case name takes precedence, also in the runtime.
  const named = env["no_proxy"] || env["NO_PROXY"];
  const all = named ? `${named},${THIS_MACHINE}` : THIS_MACHINE;
  env["no_proxy"] = all;
  env["NO_PROXY"] = all;
}

function lookUp(setting: Setting, flags: ReadonlyMap<string, string>, environment: Environment) {
  const flagged = setting.flag === undefined ? undefined : flags.get(setting.flag);
  if (flagged !== undefined) return { text: flagged, source: `--${setting.flag}` };
  for (const variable of setting.variables) {
    const text = environment[variable];
    if (text !== undefined && text !== "") return { text, source: variable };
  }
  return { text: setting.default, source: "the default" };
}

function parse(setting: Setting, text: string, source: string): number | boolean | string {
  switch (setting.kind) {
    case "text":
    case "path":
      return text;
    case "boolean":
      if (text === "1" || text === "true") return true;
      if (text === "0" || text === "false") return false;
      throw new ConfigError(`${source}: "${text}" is not 0 or 1`);
    case "choice": {
      const choices = setting.choices ?? [];
      if (choices.includes(text)) return text;
      const allowed = choices.filter((choice) => choice !== "").join(", ");
      throw new ConfigError(`${source}: "${text}" is not one of: ${allowed}`);
    }
    case "integer":
    case "bytes":
      return parseNumber(setting, text, source);
  }
}

function parseNumber(setting: Setting, text: string, source: string): number {
  const { auto, min = 0, max = Number.MAX_SAFE_INTEGER } = setting;
  if (auto !== undefined && text === "auto") return auto();
  const value = parseDecimal(text);
  if (value === null || value < min || value > max) {
    const or = auto === undefined ? "" : ", or auto";
    throw new ConfigError(`${source}: "${text}" is not an integer from ${min} to ${max}${or}`);
  }
  return value;
}

/**
 * `RF_HTTP_ADDR` may be `host:port`, as in the original; `--port` and `RF_HTTP_PORT` win. An IPv6
 * address may be in brackets, and has to be if a port follows.
 *
 * @throws ConfigError
 */
function splitHostAndPort(
  config: Config,
  flags: ReadonlyMap<string, string>,
  environment: Environment,
): Config {
  const portGiven =
    flags.has("port") || SETTINGS.port.variables.some((name) => (environment[name] ?? "") !== "");
  const source = flags.has("host") ? "--host" : "RF_HTTP_ADDR";
  const match = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(config.host);
  const [, written = config.host, portText] = isBareIPv6(config.host) ? [] : (match ?? []);
  const host = written.replace(/^\[(.*)\]$/, "$1");
  const problem = host === "" && written === "" ? null : wrongHost(host);
  if (problem !== null || (written !== host && !isBareIPv6(host))) {
    const what = problem ?? "only an IPv6 address stands in brackets";
    throw new ConfigError(`${source}: ${JSON.stringify(config.host)}: ${what}`);
  }
  if (portText === undefined) return Object.freeze({ ...config, host, portGiven });
  const port = portGiven ? config.port : (parse(SETTINGS.port, portText, source) as number);
  return Object.freeze({ ...config, host, port, portGiven: true });
}
