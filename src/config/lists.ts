/** Settings that are lists, separated by commas. */
import { type Config, ConfigError } from "./config.ts";

const listOf = (text: string): string[] =>
  text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");

/**
 * Origins whose pages may use durable streams.
 *
 * @throws ConfigError
 */
export function corsOriginsOf({ corsOrigins, tokens }: Config): readonly string[] {
  const origins = listOf(corsOrigins);
  for (const origin of origins) {
    if (origin === "*") {
      if (tokens !== "") continue;
      throw new ConfigError(
        "RF_CORS_ORIGINS: * lets every page in, so it needs RF_BEARER_TOKENS; without tokens, name the origins",
      );
    }
    if (!/^https?:/.test(origin) || !URL.canParse(origin) || new URL(origin).origin !== origin) {
      throw new ConfigError(
        `RF_CORS_ORIGINS: ${JSON.stringify(origin)} is not an origin such as https://app.example.com, or *`,
      );
    }
  }
  return origins;
}

const HOST = /^([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$/;

/**
 * Hosts that webhooks may call whatever their addresses are.
 *
 * @throws ConfigError
 */
export function webhookHostsOf({ webhookAllow }: Pick<Config, "webhookAllow">): readonly string[] {
  const hosts = listOf(webhookAllow);
  const wrong = hosts.find((host) => !HOST.test(host));
  if (wrong === undefined) return hosts.map((host) => host.replace(/^\[(.*)\]$/, "$1"));
  throw new ConfigError(
    `RF_WEBHOOK_ALLOW: ${JSON.stringify(wrong)} is not a host, with or without :port`,
  );
}
