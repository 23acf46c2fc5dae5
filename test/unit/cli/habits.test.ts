// The habits that every command has, by walking the program: a new command that lacks one fails here.
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { buildProgram } from '../../../infra/cli/program.ts';
import { runCommand, testIo } from './run.ts';

const program = buildProgram(testIo().io);
const groups = all(program).filter((command) => command.commands.length > 0);
const leaves = all(program).filter((command) => command.commands.length === 0);

function all(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(all)];
}

function pathOf(command: Command): readonly string[] {
  return command.parent ? [...pathOf(command.parent), command.name()] : [];
}

/** An argument list that is right as far as its form goes. */
function soundArguments(command: Command): readonly string[] {
  return command.registeredArguments
    .filter((argument) => argument.required)
    .map((argument) => argument.argChoices?.[0] ?? '/nonexistent');
}

it('there are commands to walk', () => {
  expect(leaves.map((command) => pathOf(command).join(' '))).toEqual(
    expect.arrayContaining(['status', 'doctor', 'tail', 'completion', 'dead redrive', 'profile get']),
  );
  expect(groups.length).toBeGreaterThanOrEqual(3);
});

describe.each(leaves.map((command) => [pathOf(command).join(' '), command] as const))(
  '%s',
  (_name, command) => {
    const path = pathOf(command);

    it('has help with an example of itself, and --json', async () => {
      const { code, out, err } = await runCommand([...path, '--help']);
      expect({ code, err }).toEqual({ code: 0, err: '' });
      expect(out).toMatch(new RegExp(`Example:\\n(.*\\n)*.*stitchwork ${path.join(' ')}`));
      expect(command.options.map((option) => option.long)).toContain('--json');
      expect(command.description()).not.toBe('');
    });

    it('exits 2 on an unknown flag', async () => {
      expect(await runCommand([...path, ...soundArguments(command), '--no-such-flag'])).toMatchObject({
        code: 2,
        out: '',
        err: expect.stringContaining('--no-such-flag'),
      });
    });

    it('exits 2 when a required argument is missing, or one is too many', async () => {
      const needed = soundArguments(command);
      if (needed.length > 0) expect((await runCommand([...path, ...needed.slice(1)])).code).toBe(2);
      if (command.registeredArguments.some((argument) => argument.variadic)) return;
      const most = command.registeredArguments.map((argument) => argument.argChoices?.[0] ?? 'x');
      expect((await runCommand([...path, ...most, 'too-many'])).code).toBe(2);
    });

    it('exits 2 on a value that is not among the choices', async () => {
      for (const option of command.options.filter(({ argChoices }) => argChoices)) {
        const ran = await runCommand([...path, ...soundArguments(command), option.long!, 'no-such-choice']);
        expect(ran).toMatchObject({ code: 2, err: expect.stringContaining('Allowed choices') });
      }
    });
  },
);

/** Runs a role when no command is given. */
const roles = groups.filter((command) => command.name() === 'batch');
const bareGroups = groups.filter((command) => !roles.includes(command));

describe.each(roles.map((command) => [pathOf(command).join(' ')] as const))('%s', (name) => {
  it('is a role as well: has an example, and exits 2 on a command that it does not have', async () => {
    const help = await runCommand([name, '--help']);
    expect(help).toMatchObject({ code: 0, out: expect.stringContaining(`$ stitchwork ${name} --config`) });
    expect((await runCommand([name, 'no-such-command'])).code).toBe(2);
  });
});

describe.each(bareGroups.map((command) => [pathOf(command).join(' ') || 'stitchwork', command] as const))(
  '%s',
  (_name, command) => {
    it('without a command tells how it is used, and exits 2', async () => {
      const { code, err, out } = await runCommand(pathOf(command));
      expect({ code, out }).toEqual({ code: 2, out: '' });
      expect(err).toContain('Usage: stitchwork');
    });
  },
);

describe('settings that cannot be', () => {
  it.each([
    [['status', '--wait', 'soon']],
    [['status', '--watch', '--wait', '3s']],
    [['status', '--url', 'ftp://x']],
    [['tail', '--limit', '0']],
    [['tail', '--since', 'yesterday']],
    [['tail', '--nats-url', 'localhost']],
    [['doctor', '--nats-url', 'localhost']],
    [['dead', 'list', '--limit', 'x', '--segment', 'shop', '--nats-url', 'nats://127.0.0.1:1']],
    [['gateway', '--shards', 'many']],
  ])('%j exits 2', async (args) => {
    expect((await runCommand(args)).code).toBe(2);
  });
});
