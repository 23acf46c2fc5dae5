// The command line as data for completion scripts, read from the program itself: whatever a command declares is completed.
import type { Argument, Command, Option } from 'commander';

export interface CompletionNode {
  /** Words from the program to the command: '' is the program, 'dead list' a command of a command. */
  readonly path: string;
  readonly subcommands: readonly { readonly name: string; readonly description: string }[];
  readonly flags: readonly CompletionFlag[];
  readonly args: readonly CompletionArg[];
}

export interface CompletionFlag {
  /** Short and long form, as there are. */
  readonly names: readonly string[];
  readonly description: string;
  readonly takesValue: boolean;
  readonly values: Values;
}

export interface CompletionArg {
  readonly name: string;
  readonly repeats: boolean;
  readonly values: Values;
}

export type Values =
  | { readonly kind: 'choices'; readonly choices: readonly string[] }
  | { readonly kind: 'files' }
  | { readonly kind: 'folders' }
  | { readonly kind: 'any' };

/** Every command of the program, the program first. */
export function completionModel(program: Command): readonly CompletionNode[] {
  return nodesOf(program, '');
}

/** Each flag that takes a value, under `<path of its command>:<flag>`. */
export function valueFlags(
  nodes: readonly CompletionNode[],
): readonly { readonly key: string; readonly values: Values }[] {
  return nodes.flatMap(({ path, flags }) =>
    flags
      .filter(({ takesValue }) => takesValue)
      .flatMap(({ names, values }) => names.map((name) => ({ key: `${path}:${name}`, values }))),
  );
}

function nodesOf(command: Command, path: string): readonly CompletionNode[] {
  const help = command.createHelp();
  const visible = help.visibleCommands(command);
  const node: CompletionNode = {
    path,
    subcommands: visible.map((sub) => ({ name: sub.name(), description: firstSentence(sub.description()) })),
    flags: help.visibleOptions(command).map(flagOf),
    args: command.registeredArguments.map(argOf),
  };
  // The help command that commander adds takes names of commands and completes nothing of its own.
  const own = visible.filter((sub) => sub.name() !== 'help');
  return [node, ...own.flatMap((sub) => nodesOf(sub, `${path} ${sub.name()}`.trim()))];
}

function flagOf(option: Option): CompletionFlag {
  return {
    names: [option.short, option.long].filter((name) => name !== undefined),
    description: firstSentence(option.description),
    takesValue: option.required || option.optional,
    values: valuesOf(option.argChoices, /<(.*?)>/.exec(option.flags)?.[1] ?? ''),
  };
}

function argOf(argument: Argument): CompletionArg {
  const { argChoices, variadic } = argument;
  return { name: argument.name(), repeats: variadic, values: valuesOf(argChoices, argument.name()) };
}

function valuesOf(choices: readonly string[] | undefined, placeholder: string): Values {
  if (choices) return { kind: 'choices', choices };
  if (/^files?$/.test(placeholder)) return { kind: 'files' };
  return placeholder === 'folder' ? { kind: 'folders' } : { kind: 'any' };
}

function firstSentence(text: string): string {
  return text.split(/[;(\n]/)[0]!.trim();
}
