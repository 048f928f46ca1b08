/** The texts of `--help`, generated from the commands. */
import { type Command, HELP_OPTION, type Option } from "./command.ts";
import type { Entry } from "./commands.ts";

const COLUMN = 28;
const WIDTH = 100;

/** Returns the text of `ayder --help`. */
export function overview(version: string, entries: readonly Entry[]): string {
  return [
    `ayder ${version}: an HTTP-native durable event log`,
    "",
    "Usage: ayder [serve] [--port N] [--host ADDR] [--data-dir DIR] [options]",
    "       ayder COMMAND [options]",
    "",
    "Commands:",
    ...entries.map(({ name, summary }) => row(name, summary)),
    "",
    "Commands that talk to a server use --url or AYDER_URL (default http://127.0.0.1:1109) and the",
    "token in AYDER_TOKEN (default: dev, for servers on this machine only).",
    "Exit codes: 0 success, 1 refused by the server or damaged files, 2 wrong usage, 3 server not",
    "reachable or outcome unknown, 70 internal error, 78 start refused.",
    "",
    row("ayder COMMAND --help", "print the help of a command"),
    row("-h, --help, -v, --version", "this text; the version"),
    "",
  ].join("\n");
}

/** Returns the text of `ayder COMMAND --help`. */
export function commandHelp(command: Command): string {
  const { name, summary, actions, options, notes = [] } = command;
  const single = actions.length === 1 && actions[0]?.name === "";
  const usage = single
    ? [`Usage: ayder ${name} [options] ${actions[0]?.operands ?? ""}`.trimEnd()]
    : [
        `Usage: ayder ${name} ${actions[0]?.name === "" ? "[ACTION]" : "ACTION"} [options]`,
        "",
        ...actions.map((action) => row(`${action.name} ${action.operands}`.trim(), action.summary)),
      ];
  const known = Object.entries({ ...options, help: HELP_OPTION });
  return [
    `ayder ${name}: ${summary}`,
    "",
    ...usage,
    "",
    ...known.map(([long, option]) => row(optionNames(long, option), optionHelp(option))),
    ...(notes.length === 0 ? [] : ["", ...notes]),
    "",
  ].join("\n");
}

function optionNames(name: string, { short, value, type }: Option): string {
  const names = short === undefined ? `    --${name}` : `-${short}, --${name}`;
  return type === "string" ? `${names} ${value ?? "TEXT"}` : names;
}

const optionHelp = ({ help, only }: Option): string =>
  only === undefined || only[0] === "" ? help : `${only.join(", ")}: ${help}`;

/** Formats two columns; text that does not fit the right one continues below. */
function row(left: string, right: string): string {
  const lines: string[] = [];
  let line = `  ${left.padEnd(COLUMN)}`;
  for (const word of right.split(" ")) {
    if (line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = " ".repeat(COLUMN + 2);
    }
    line += ` ${word}`;
  }
  return [...lines, line.trimEnd()].join("\n");
}
