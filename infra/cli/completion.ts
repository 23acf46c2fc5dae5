// `stitchwork completion`: a script for the shell that completes commands, flags and fixed values.
import { Argument, type Command } from 'commander';
import { bashScript } from './completion-bash.ts';
import { fishScript } from './completion-fish.ts';
import { type CompletionNode, completionModel } from './completion-model.ts';
import { zshScript } from './completion-zsh.ts';
import { withExample, withJson } from './flags.ts';
import type { Io } from './io.ts';

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;
type Shell = keyof typeof SCRIPTS;

export function addCompletion(program: Command, io: Io): void {
  const command = program
    .command('completion')
    .description('print a script that completes commands, flags and values in your shell')
    .addArgument(new Argument('<shell>', 'which shell').choices(Object.keys(SCRIPTS)));
  withExample(
    withJson(command),
    'source <(stitchwork completion bash)',
    'stitchwork completion zsh > "$fpath[1]/_stitchwork"',
    'stitchwork completion fish > ~/.config/fish/completions/stitchwork.fish',
  );
  command.action((shell: Shell, flags: { json?: boolean }) => {
    const script = completionScript(shell, completionModel(program));
    io.out(flags.json ? JSON.stringify({ shell, script }) : script.trimEnd());
  });
}

/** The script of a shell for a command line. */
export function completionScript(shell: Shell, nodes: readonly CompletionNode[]): string {
  return SCRIPTS[shell](nodes);
}
