// The fish completion script: one line a command, flag or value, each under the condition that its command is typed.
import type { CompletionFlag, CompletionNode, Values } from './completion-model.ts';

export function fishScript(nodes: readonly CompletionNode[]): string {
  const lines = nodes.flatMap((node) => [
    ...node.subcommands.map(({ name, description }) =>
      completion(node.path, 0, `-f -a ${quote(name)} -d ${quote(description)}`),
    ),
    ...node.flags.map((flag) => completion(node.path, undefined, flagArguments(flag))),
    ...node.args.flatMap(({ values, repeats }, index) => {
      const offered = offer(values);
      return offered === '' ? [] : [completion(node.path, repeats ? undefined : index, offered)];
    }),
  ]);
  return `# fish completion of stitchwork; put it in ~/.config/fish/completions/stitchwork.fish

# True when the words typed are exactly the command $argv[1], followed by $argv[2] arguments when that is given.
function __stitchwork_at
    set -l path ''
    set -l positional 0
    set -l skip ''
    set -l words (commandline -opc)
    for word in $words[2..-1]
        if test -n "$skip"
            set skip ''
            continue
        end
        switch $word
            case '-*=*'
            case '-*'
                contains -- "$path:$word" $__stitchwork_value_flags; and set skip 1
            case '*'
                if contains -- (string trim -- "$path $word") $__stitchwork_commands
                    set path (string trim -- "$path $word")
                else
                    set positional (math $positional + 1)
                end
        end
    end
    test "$path" = "$argv[1]"; or return 1
    test (count $argv) -lt 2; or test $positional -eq $argv[2]
end

set -g __stitchwork_commands ${nodes
    .filter(({ path }) => path !== '')
    .map(({ path }) => quote(path))
    .join(' ')}
set -g __stitchwork_value_flags ${nodes
    .flatMap(({ path, flags }) =>
      flags.filter((flag) => flag.takesValue).flatMap(({ names }) => names.map((n) => quote(`${path}:${n}`))),
    )
    .join(' ')}

complete -c stitchwork -f
${lines.join('\n')}
`;
}

function completion(path: string, position: number | undefined, rest: string): string {
  const condition = `__stitchwork_at ${quote(path)}${position === undefined ? '' : ` ${position}`}`;
  return `complete -c stitchwork -n ${quote(condition)} ${rest}`;
}

function flagArguments({ names, description, takesValue, values }: CompletionFlag): string {
  const forms = names.map((name) =>
    name.startsWith('--') ? `-l ${quote(name.slice(2))}` : `-s ${quote(name.slice(1))}`,
  );
  const value = takesValue ? ` ${['-r', offer(values)].filter((part) => part !== '').join(' ')}` : '';
  return `${forms.join(' ')}${value} -d ${quote(description)}`;
}

function offer(values: Values): string {
  switch (values.kind) {
    case 'choices':
      return `-f -a ${quote(values.choices.join(' '))}`;
    case 'files':
      return '-F';
    case 'folders':
      return `-f -a '(__fish_complete_directories)'`;
    case 'any':
      return '';
  }
}

/** A word of fish: single quotes, with backslash and quote escaped. */
function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
