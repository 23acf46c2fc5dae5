// Completion scripts: generated from the program, checked by the shells themselves where they are installed.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Argument, Command, Option } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { completionScript } from '../../../infra/cli/completion.ts';
import { completionModel } from '../../../infra/cli/completion-model.ts';
import { buildProgram } from '../../../infra/cli/program.ts';
import { runCommand, testIo } from './run.ts';

const folder = mkdtempSync(join(tmpdir(), 'stitchwork-completion-'));
const script = (shell: 'bash' | 'zsh' | 'fish') => join(folder, `script.${shell}`);

beforeAll(async () => {
  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    const { code, out } = await runCommand(['completion', shell]);
    expect(code).toBe(0);
    writeFileSync(script(shell), `${out}\n`);
  }
  writeFileSync(join(folder, 'shop config.yaml'), '');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function has(shell: string): boolean {
  return spawnSync(shell, ['--version']).status === 0;
}

/** What bash offers for the last of these words. */
function bash(...words: readonly string[]): readonly string[] {
  const list = ['stitchwork', ...words].map((word) => `'${word}'`).join(' ');
  const code = `source "$1"; COMP_WORDS=(${list}); COMP_CWORD=${words.length}; _stitchwork; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const out = execFileSync('bash', ['--norc', '-c', code, 'bash', script('bash')], {
    cwd: folder,
    encoding: 'utf8',
  });
  return out.split('\n').filter((line) => line !== '');
}

describe.runIf(has('bash'))('bash', () => {
  it('completes every command of the program', () => {
    const commands = buildProgram(testIo().io).commands.map((command) => command.name());
    expect(commands.length).toBeGreaterThan(8);
    expect(bash('')).toEqual(expect.arrayContaining(commands));
    expect(bash('sta')).toEqual(['status']);
  });

  it('completes commands of commands', () => {
    expect(bash('dead', '')).toEqual(expect.arrayContaining(['list', 'show', 'redrive']));
    expect(bash('dead', 'red')).toEqual(['redrive']);
  });

  it('completes the flags of the command, wherever it stands', () => {
    expect(bash('status', '--w')).toEqual(['--wait', '--watch']);
    expect(bash('dead', 'list', '--js')).toEqual(['--json']);
    expect(bash('tail', 'audit', '--wh')).toEqual(['--where']);
    // The value of a flag is no command.
    expect(bash('tail', '--segment', 'dead', '--wh')).toEqual(['--where']);
  });

  it('completes fixed values of arguments and flags', () => {
    expect(bash('tail', '')).toEqual(['events', 'activations', 'deliveries', 'audit']);
    expect(bash('tail', '--json', 'a')).toEqual(['activations', 'audit']);
    expect(bash('tail', '--since', '5m', 'ev')).toEqual(['events']);
    expect(bash('tail', 'events', '')).toEqual([]);
    expect(bash('worker', '--log-level', 'de')).toEqual(['debug']);
    expect(bash('worker', '--log-level', '=', 'de')).toEqual(['debug']);
    expect(bash('worker', '--log-level', '=')).toEqual(expect.arrayContaining(['debug', 'info']));
    expect(bash('completion', '')).toEqual(['bash', 'zsh', 'fish']);
  });

  it('completes files where a file is meant, and nothing where anything may stand', () => {
    expect(bash('validate', 'shop')).toEqual(['shop config.yaml']);
    expect(bash('validate', 'a.yaml', 'shop')).toEqual(['shop config.yaml']);
    expect(bash('gateway', '--config', 'sh')).toEqual(['shop config.yaml']);
    expect(bash('gateway', '-c', 'sh')).toEqual(['shop config.yaml']);
    expect(bash('status', '--url', 'x')).toEqual([]);
  });

  it('is quiet about commands that there are not', () => {
    expect(bash('nonsense', '')).toEqual([]);
  });
});

describe.each(['bash', 'zsh', 'fish'] as const)('%s', (shell) => {
  it.runIf(has(shell))('takes the script for well formed', () => {
    const { status, stderr } = spawnSync(shell, ['-n', script(shell)], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  it('has every command, flag and choice', async () => {
    const { out } = await runCommand(['completion', shell, '--json']);
    const answer = JSON.parse(out) as { shell: string; script: string };
    expect(answer.shell).toBe(shell);
    for (const { path, flags, args } of completionModel(buildProgram(testIo().io))) {
      if (path !== '') expect(answer.script).toContain(path);
      for (const { names } of flags) {
        for (const name of names)
          expect(answer.script).toContain(shell === 'fish' ? name.replace(/^--?/, '') : name);
      }
      for (const { values } of args) {
        for (const choice of values.kind === 'choices' ? values.choices : [])
          expect(answer.script).toContain(choice);
      }
    }
  });
});

it('whatever a program declares is completed, quoted', () => {
  const program = new Command('stitchwork');
  program
    .command('brew')
    .description("don't: a test")
    .addArgument(new Argument('<what>').choices(['tea', 'coffee']))
    .addOption(new Option('--pot <folder>', "the cook's pot; large"));
  const made = completionScript('bash', completionModel(program));
  writeFileSync(join(folder, 'brew.bash'), made);
  if (!has('bash')) return;
  const code = `source "$1"; COMP_WORDS=(stitchwork brew t); COMP_CWORD=2; _stitchwork; echo "\${COMPREPLY[*]}"`;
  expect(execFileSync('bash', ['-c', code, 'bash', join(folder, 'brew.bash')], { encoding: 'utf8' })).toBe(
    'tea\n',
  );
  expect(completionScript('fish', completionModel(program))).toContain("don\\'t");
  expect(completionScript('zsh', completionModel(program))).toContain("don'\\''t");
});
