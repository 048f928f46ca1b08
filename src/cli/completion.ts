/**
 * `ayder completion`: completion scripts for shells, generated from the registry. Commands, actions and
 * options are in the scripts. Names are asked from the server by `ayder completion names`.
 */
import { type Action, type Command, EXIT, type Option } from "./command.ts";
import type { Entry } from "./commands.ts";
import { printNames } from "./completion-names.ts";

type Commands = readonly Command[];
type Script = (commands: Commands) => string;

/** @param entries the registry; passed in because it imports this file. */
export function completion(entries: () => readonly Entry[]): Command {
  const load = () => Promise.all(entries().map((entry) => entry.load()));
  const action = (name: string, summary: string, script: Script): Action => ({
    name,
    operands: "",
    summary,
    async run(_args, io) {
      await io.out(script(await load()));
      return EXIT.ok;
    },
  });
  return {
    name: "completion",
    summary: "print a completion script for bash, zsh or fish",
    actions: [
      action("bash", "in ~/.bashrc: source <(ayder completion bash)", bash),
      action("zsh", "in ~/.zshrc, behind compinit: source <(ayder completion zsh)", zsh),
      action("fish", "ayder completion fish > ~/.config/fish/completions/ayder.fish", fish),
      {
        name: "names",
        operands: "[word...]",
        summary: "print names of the server that complete these words",
        run: (args, io) => printNames(args.operands, args.text("within"), entries(), io),
      },
    ],
    options: {
      within: {
        type: "string",
        value: "TIME",
        only: ["names"],
        help: "print nothing after this time since the start (default: 200ms)",
      },
    },
    notes: [
      "The scripts complete commands, actions, options, and names of topics, groups, views, queues and",
      "namespaces. Names are asked from the server of --url or AYDER_URL. AYDER_COMPLETION_WITHIN, such",
      "as 1s, allows more time for a server that is far away.",
    ],
  };
}

const actionsOf = ({ actions }: Command): readonly string[] =>
  actions.map(({ name }) => name).filter((name) => name !== "");

/** @param action absent: the options of all actions. */
const optionsOf = ({ options }: Command, action?: string): readonly string[] =>
  [
    ...Object.keys(options).filter((name) => {
      const only = options[name]?.only;
      return action === undefined || only === undefined || only.includes(action);
    }),
    "help",
  ].map((name) => `--${name}`);

/** Options that take a value; names and file names are proposed after them. */
const valued = ({ options }: Command): readonly string[] =>
  Object.entries(options).flatMap(([name, { type, short }]) =>
    type === "boolean" ? [] : [`--${name}`, ...(short === undefined ? [] : [`-${short}`])],
  );

function bash(commands: Commands): string {
  const names = commands.map(({ name }) => name).join(" ");
  const cases = commands.map((command) => {
    const words = [...actionsOf(command)].join(" ");
    const options = optionsOf(command).join(" ");
    return `    ${command.name}) actions="${words}"; options="${options}"; valued=" ${valued(command).join(" ")} " ;;`;
  });
  const actionCases = commands.flatMap((command) =>
    actionsOf(command).map(
      (action) =>
        `    "${command.name} ${action}") options="${optionsOf(command, action).join(" ")}" ;;`,
    ),
  );
  return `# bash completion of ayder
# Names of the server, else files. Bash splits words at a colon, so what is before it is removed.
_ayder_names() {
  local word=\${COMP_WORDS[COMP_CWORD]} line=\${COMP_LINE:0:COMP_POINT} words=() whole names
  if [ -n "$line" ]; then
    read -ra words <<< "$line"
    case "$line" in *[[:space:]]) words+=("") ;; esac
  else
    words=("\${COMP_WORDS[@]:0:COMP_CWORD+1}")
  fi
  whole=\${words[\${#words[@]}-1]}
  names=$("\${COMP_WORDS[0]}" completion names --within "\${AYDER_COMPLETION_WITHIN:-200ms}" -- "\${words[@]:1}" 2>/dev/null)
  COMPREPLY=($(compgen -W "$names" -- "$whole"))
  COMPREPLY=("\${COMPREPLY[@]#"\${whole%"$word"}"}")
  if [ -z "$names" ]; then COMPREPLY=($(compgen -f -- "$word")); fi
}
_ayder() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} actions options valued
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${names} help --help --version" -- "$word"))
    return
  fi
  case \${COMP_WORDS[1]} in
${cases.join("\n")}
    help) actions="${names}" ;;
    *) return ;;
  esac
  case "\${COMP_WORDS[1]} \${COMP_WORDS[2]}" in
${actionCases.join("\n")}
  esac
  case "$valued" in *" $before "*) _ayder_names; return ;; esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
    *)
      if [ "$COMP_CWORD" -eq 2 ] && [ -n "$actions" ]; then
        COMPREPLY=($(compgen -W "$actions" -- "$word"))
      else
        _ayder_names
      fi ;;
  esac
}
complete -o filenames -F _ayder ayder
`;
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
/** Escapes for zsh, where a colon ends the word and brackets end the description. */
const zshWord = (name: string, help: string): string =>
  quoted(`${name}:${help.replaceAll(":", "\\:")}`);

/** @param action absent: the options of all actions. */
const zshOptions = (command: Command, action?: string): readonly string[] =>
  optionsOf(command, action).flatMap((option) => {
    const help = command.options[option.slice(2)]?.help;
    return help === undefined ? [] : [zshWord(option, help)];
  });

function zsh(commands: Commands): string {
  const named = commands.map(({ name, summary }) => zshWord(name, summary)).join(" ");
  const cases = commands.map((command) => {
    const actions = command.actions
      .filter(({ name }) => name !== "")
      .map(({ name, summary }) => zshWord(name, summary));
    const options = zshOptions(command);
    return `    ${command.name}) actions=(${actions.join(" ")}); options=(${options.join(" ")} ${zshWord("--help", "this text")}) ;;`;
  });
  const actionCases = commands.flatMap((command) =>
    actionsOf(command).map(
      (action) =>
        `    ${quoted(`${command.name} ${action}`)}) options=(${zshOptions(command, action).join(" ")} ${zshWord("--help", "this text")}) ;;`,
    ),
  );
  return `#compdef ayder
_ayder() {
  local -a commands actions options names
  commands=(${named})
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case \${words[2]} in
${cases.join("\n")}
    help) actions=($commands) ;;
  esac
  case "\${words[2]} \${words[3]}" in
${actionCases.join("\n")}
  esac
  if [[ \${words[CURRENT]} == -* ]]; then
    _describe option options
  elif (( CURRENT == 3 && \${#actions} > 0 )); then
    _describe action actions
  else
    names=(\${(f)"$("\${words[1]}" completion names --within "\${AYDER_COMPLETION_WITHIN:-200ms}" -- "\${(@)words[2,CURRENT]}" 2>/dev/null)"})
    if (( \${#names} )); then compadd -a names; else _files; fi
  fi
}
if (( \${+functions[compdef]} )); then compdef _ayder ayder; fi
`;
}

function fish(commands: Commands): string {
  const lines = [
    "# fish completion of ayder",
    "function __ayder_names",
    "  set -l words (commandline -opc)",
    "  set -l last (commandline -ct)",
    "  set -l within 200ms",
    "  set -q AYDER_COMPLETION_WITHIN; and set within $AYDER_COMPLETION_WITHIN",
    '  command $words[1] completion names --within $within -- $words[2..-1] "$last" 2>/dev/null',
    "end",
    "complete -c ayder -n 'test (count (commandline -opc)) -ge 2' -a '(__ayder_names)'",
  ];
  return `${[...lines, ...commands.flatMap(fishLines)].join("\n")}\n`;
}

function fishLines(command: Command): readonly string[] {
  const { name, summary } = command;
  const here = `__fish_seen_subcommand_from ${name}`;
  const first = `${here}; and not __fish_seen_subcommand_from ${actionsOf(command).join(" ")}`;
  const actions = command.actions.filter((action) => action.name !== "");
  return [
    `complete -c ayder -n __fish_use_subcommand -f -a ${name} -d ${fishQuoted(summary)}`,
    ...actions.map(
      (action) =>
        `complete -c ayder -n ${fishQuoted(first)} -f -a ${action.name} -d ${fishQuoted(action.summary)}`,
    ),
    ...Object.entries(command.options).map(([long, option]) => fishOption(here, long, option)),
  ];
}

function fishOption(here: string, long: string, { help, only, short, type }: Option): string {
  const letter = short === undefined ? "" : ` -s ${short}`;
  const value = type === "string" ? " -r -a '(__ayder_names)'" : "";
  const named =
    only === undefined ? here : `${here}; and __fish_seen_subcommand_from ${only.join(" ")}`;
  return `complete -c ayder -n ${fishQuoted(named)} -l ${long}${letter}${value} -d ${fishQuoted(help)}`;
}

const fishQuoted = (text: string): string =>
  `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
