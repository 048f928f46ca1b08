/**
 * Finds variables that look like settings but are unknown, so that a typo does not disable a
 * setting silently.
 */
import { nearest } from "../lib/nearest.ts";
import { SETTINGS, type Setting } from "./settings.ts";

export type UnknownVariable = {
  readonly name: string;
  /** The setting that was probably meant; null if unclear. */
  readonly nearest: string | null;
};

const OURS = /^(RF|AYDER)_/;
/** Variables of the command line, which may run in the same environment. */
const OF_THE_CLIENT = ["AYDER_URL", "AYDER_TOKEN"];
/** Variables that Kubernetes and Docker set for a service named `rf` or `ayder`. */
const SERVICE = /_(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/;
const SERVICE_URL = /^(tcp|udp|sctp):\/\//;

/** Returns the unknown variables by name. An empty variable counts as unset. */
export function unknownVariables(
  environment: Readonly<Record<string, string | undefined>>,
): readonly UnknownVariable[] {
  const known = Object.values<Setting>(SETTINGS).flatMap(({ variables }) => variables);
  const unknown: UnknownVariable[] = [];
  for (const [name, value = ""] of Object.entries(environment)) {
    if (!OURS.test(name) || value === "") continue;
    if (known.includes(name) || OF_THE_CLIENT.includes(name)) continue;
    if (SERVICE.test(name) || (name.endsWith("_PORT") && SERVICE_URL.test(value))) continue;
    unknown.push({ name, nearest: meant(name, known) });
  }
  return unknown.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * A missing part of the name is more likely than wrong letters: RF_WRITE_CONCERN, AYDER_DATA_DIR.
 */
function meant(name: string, known: readonly string[]): string | null {
  const bare = name.replace(OURS, "");
  const longer = known.filter((each) => each.endsWith(`_${bare}`));
  if (longer.length > 0) return longer.reduce((a, b) => (b.length < a.length ? b : a));
  const like = nearest(
    bare,
    known.map((each) => each.replace(OURS, "")),
  );
  return known.find((each) => each.replace(OURS, "") === like) ?? null;
}
