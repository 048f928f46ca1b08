/** `ayder completion`: completion scripts for shells, generated from the registry. */
import { type Action, type Command, EXIT } from "./command.ts";

type Commands = readonly Command[];
type Script = (commands: Commands) => string;

/** @param load returns all commands; passed in because the registry imports this file. */
export function completion(load: () => Promise<Commands>): Command {
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
    ],
    options: {},
  };
}

const actionsOf = ({ actions }: Command): readonly string[] =>
  actions.map(({ name }) => name).filter((name) => name !== "");

const optionsOf = ({ options }: Command): readonly string[] =>
  [...Object.keys(options), "help"].map((name) => `--${name}`);

/** Options that take a value; only file names can be proposed after them. */
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
  return `# bash completion of ayder
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
  case "$valued" in *" $before "*) COMPREPLY=($(compgen -f -- "$word")); return ;; esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
    *)
      if [ "$COMP_CWORD" -eq 2 ] && [ -n "$actions" ]; then
        COMPREPLY=($(compgen -W "$actions" -- "$word"))
      else
        COMPREPLY=($(compgen -f -- "$word"))
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

function zsh(commands: Commands): string {
  const named = commands.map(({ name, summary }) => zshWord(name, summary)).join(" ");
  const cases = commands.map((command) => {
    const actions = command.actions
      .filter(({ name }) => name !== "")
      .map(({ name, summary }) => zshWord(name, summary));
    const options = Object.entries(command.options).map(([name, { help }]) =>
      zshWord(`--${name}`, help),
    );
    return `    ${command.name}) actions=(${actions.join(" ")}); options=(${options.join(" ")} ${zshWord("--help", "this text")}) ;;`;
  });
  return `#compdef ayder
_ayder() {
  local -a commands actions options
  commands=(${named})
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case \${words[2]} in
${cases.join("\n")}
    help) actions=($commands) ;;
  esac
  if [[ \${words[CURRENT]} == -* ]]; then
    _describe option options
  elif (( CURRENT == 3 && \${#actions} > 0 )); then
    _describe action actions
  else
    _files
  fi
}
if (( \${+functions[compdef]} )); then compdef _ayder ayder; fi
`;
}

function fish(commands: Commands): string {
  const lines = ["# fish completion of ayder"];
  for (const command of commands) {
    const { name, summary } = command;
    const here = `__fish_seen_subcommand_from ${name}`;
    lines.push(
      `complete -c ayder -n __fish_use_subcommand -f -a ${name} -d ${fishQuoted(summary)}`,
    );
    const actions = actionsOf(command);
    for (const action of command.actions) {
      if (action.name === "") continue;
      const first = `${here}; and not __fish_seen_subcommand_from ${actions.join(" ")}`;
      lines.push(
        `complete -c ayder -n ${fishQuoted(first)} -f -a ${action.name} -d ${fishQuoted(action.summary)}`,
      );
    }
    for (const [long, { help, short, type }] of Object.entries(command.options)) {
      const letter = short === undefined ? "" : ` -s ${short}`;
      const value = type === "string" ? " -r" : "";
      lines.push(
        `complete -c ayder -n ${fishQuoted(here)} -l ${long}${letter}${value} -d ${fishQuoted(help)}`,
      );
    }
  }
  return `${lines.join("\n")}\n`;
}

const fishQuoted = (text: string): string =>
  `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
