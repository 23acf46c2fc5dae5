// The bash completion script: tables of the command line, and one function that walks the words before the cursor.
// Works in bash 4 and later, without the bash-completion package.
import { type CompletionNode, type Values, valueFlags } from './completion-model.ts';

export function bashScript(nodes: readonly CompletionNode[]): string {
  return `# bash completion of stitchwork; load it with: source <(stitchwork completion bash)
_stitchwork() {
  local cur=\${COMP_WORDS[COMP_CWORD]} path= word flag= i skip= positional=0
  COMPREPLY=()
  # Bash makes a word of the = in --flag=value.
  [[ $cur == = ]] && cur=
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ $word == = ]]; then skip=1; continue; fi
    if [[ -n $skip ]]; then skip=; continue; fi
    if [[ $word == -* ]]; then
      _stitchwork_takes_value "$path" "$word" && skip=1
      continue
    fi
    if _stitchwork_is_command "$path" "$word"; then path=\${path:+$path }$word; else ((positional++)); fi
  done
  # A value is due when the last word before the cursor is a flag that takes one, or the = after it.
  if [[ -n $skip ]]; then
    flag=\${COMP_WORDS[COMP_CWORD-1]}
    [[ $flag == = ]] && flag=\${COMP_WORDS[COMP_CWORD-2]}
    [[ \${COMP_WORDS[COMP_CWORD]} == = ]] && flag=\${COMP_WORDS[COMP_CWORD-1]}
    _stitchwork_value "$path" "$flag" "$cur"
    return
  fi
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$(_stitchwork_flags "$path")" -- "$cur"))
    return
  fi
  _stitchwork_words "$path" "$positional" "$cur"
}

${predicates(nodes)}

_stitchwork_flags() {
  case "$1" in
${nodes.map(({ path, flags }) => `    ${quote(path)}) echo ${quote(flags.flatMap(({ names }) => names).join(' '))} ;;`).join('\n')}
  esac
}

_stitchwork_value() {
  case "$1:$2" in
${valueFlags(nodes)
  .filter(({ values }) => values.kind !== 'any')
  .map(({ key, values }) => `    ${quote(key)}) ${reply(values, '$3')} ;;`)
  .join('\n')}
  esac
}

_stitchwork_words() {
  case "$1:$2" in
${words(nodes).join('\n')}
  esac
}

complete -o filenames -F _stitchwork stitchwork
`;
}

/** Commands of a command, and the values of its arguments by their position. */
function words(nodes: readonly CompletionNode[]): readonly string[] {
  return nodes.flatMap(({ path, subcommands, args }) => {
    if (subcommands.length > 0) {
      const choices = subcommands.map(({ name }) => name);
      return [`    ${quote(`${path}:0`)}) ${reply({ kind: 'choices', choices }, '$3')} ;;`];
    }
    return args.flatMap(({ values, repeats }, index) => {
      if (values.kind === 'any') return [];
      const position = repeats ? `${quote(`${path}:`)}*` : quote(`${path}:${index}`);
      return [`    ${position}) ${reply(values, '$3')} ;;`];
    });
  });
}

/** What bash and zsh ask alike: whether a word is a command below a path, and whether a flag of it takes a value. */
export function predicates(nodes: readonly CompletionNode[]): string {
  return `_stitchwork_is_command() {
  case "$1 $2" in
${nodes
  .filter(({ path }) => path !== '')
  .map(({ path }) => `    ${quote(path.includes(' ') ? path : ` ${path}`)}) return 0 ;;`)
  .join('\n')}
  esac
  return 1
}

_stitchwork_takes_value() {
  case "$1:$2" in
${valueFlags(nodes)
  .map(({ key }) => `    ${quote(key)}) return 0 ;;`)
  .join('\n')}
  esac
  return 1
}`;
}

function reply(values: Values, current: string): string {
  switch (values.kind) {
    case 'choices':
      return `COMPREPLY=($(compgen -W ${quote(values.choices.join(' '))} -- "${current}"))`;
    case 'files':
      return `mapfile -t COMPREPLY < <(compgen -f -- "${current}")`;
    case 'folders':
      return `mapfile -t COMPREPLY < <(compgen -d -- "${current}")`;
    case 'any':
      return ':';
  }
}

/** A word of the shell, whatever is in it. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
