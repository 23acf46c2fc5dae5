// The zsh completion script: the same tables as for bash, with descriptions.
import { predicates, quote } from './completion-bash.ts';
import { type CompletionNode, type Values, valueFlags } from './completion-model.ts';

export function zshScript(nodes: readonly CompletionNode[]): string {
  return `#compdef stitchwork
# zsh completion of stitchwork; put it in a folder of $fpath as _stitchwork, or: source <(stitchwork completion zsh)

_stitchwork() {
  local path_='' word flag='' i skip='' positional=0
  for ((i = 2; i < CURRENT; i++)); do
    word=\${words[i]}
    if [[ -n $skip ]]; then skip=''; continue; fi
    if [[ $word == -* ]]; then
      [[ $word != *=* ]] && _stitchwork_takes_value "$path_" "$word" && { skip=1; flag=$word }
      continue
    fi
    if _stitchwork_is_command "$path_" "$word"; then path_=\${path_:+$path_ }$word; else ((positional++)); fi
  done
  if [[ -n $skip ]]; then
    _stitchwork_value "$path_" "$flag"
    return
  fi
  if [[ \${words[CURRENT]} == --*=* ]]; then
    flag=\${words[CURRENT]%%=*}
    compset -P '*='
    _stitchwork_value "$path_" "$flag"
    return
  fi
  if [[ \${words[CURRENT]} == -* ]]; then
    _stitchwork_flags "$path_"
    return
  fi
  _stitchwork_words "$path_" "$positional"
}

${predicates(nodes)}

_stitchwork_flags() {
  local -a list
  case "$1" in
${nodes.map(flagCase).join('\n')}
  esac
  _describe 'flag' list
}

_stitchwork_value() {
  case "$1:$2" in
${valueFlags(nodes)
  .map(({ key, values }) => `    ${quote(key)}) ${offer(values)} ;;`)
  .join('\n')}
  esac
}

_stitchwork_words() {
  local -a list
  case "$1:$2" in
${words(nodes).join('\n')}
  esac
}

if [[ $funcstack[1] == _stitchwork ]]; then
  _stitchwork "$@"
else
  compdef _stitchwork stitchwork
fi
`;
}

function flagCase({ path, flags }: CompletionNode): string {
  const list = flags.flatMap(({ names, description }) =>
    names.map((name) => quote(described(name, description))),
  );
  return `    ${quote(path)}) list=(${list.join(' ')}) ;;`;
}

function words(nodes: readonly CompletionNode[]): readonly string[] {
  return nodes.flatMap(({ path, subcommands, args }) => {
    if (subcommands.length > 0) {
      const list = subcommands.map(({ name, description }) => quote(described(name, description)));
      return [`    ${quote(`${path}:0`)}) list=(${list.join(' ')}); _describe 'command' list ;;`];
    }
    return args.flatMap(({ values, repeats }, index) => {
      if (values.kind === 'any') return [];
      const position = repeats ? `${quote(`${path}:`)}*` : quote(`${path}:${index}`);
      return [`    ${position}) ${offer(values)} ;;`];
    });
  });
}

function offer(values: Values): string {
  switch (values.kind) {
    case 'choices':
      return `compadd -- ${values.choices.map(quote).join(' ')}`;
    case 'files':
      return '_files';
    case 'folders':
      return '_files -/';
    case 'any':
      return '_message value';
  }
}

/** A word with its description, as _describe reads it: a colon in the word would end it. */
function described(word: string, description: string): string {
  return `${word.replaceAll(':', '\\:')}:${description}`;
}
