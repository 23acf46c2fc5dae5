// The command line's habits: help with an example everywhere, wrong usage, exit codes, data apart from talk.
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { lastDevHandle, readDevHandle, writeDevHandle } from '../../../infra/cli/dev-handle.ts';
import { CommandFailure, describeFailure } from '../../../infra/cli/exit.ts';
import { type Io, styleFor, table } from '../../../infra/cli/io.ts';
import { runCli } from '../../../infra/cli/program.ts';
import { systemClock } from '../../../shared/kernel/clock.ts';
import { ERRORS, type ErrorCode, StitchworkError } from '../../../shared/kernel/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'stitchwork-cli-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function run(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = [];
  const err: string[] = [];
  const io: Io = {
    out: (line) => void out.push(line),
    talk: (line) => void err.push(line),
    progress: () => {},
    terminal: false,
    confirm: async () => undefined,
    redraw: () => {},
    env: { STITCHWORK_DATA_DIR: folder },
    clock: systemClock,
    style: styleFor(false),
    interruptible: () => new AbortController().signal,
  };
  const code = await runCli(args, io);
  return { code, out: out.join('\n'), err: err.join('\n') };
}

const COMMANDS = [
  ['dev'],
  ['gateway'],
  ['worker'],
  ['status'],
  ['doctor'],
  ['tail'],
  ['profile', 'get'],
  ['validate'],
  ['apply'],
  ['diff'],
  ['versions'],
  ['rollback'],
  ['config', 'get'],
  ['schema'],
  ['replay'],
  ['dead', 'list'],
  ['dead', 'show'],
  ['dead', 'redrive'],
  ['demo'],
  ['completion'],
];

describe('help', () => {
  it.each(COMMANDS.map((command) => [command.join(' '), command] as const))(
    'of %s has an example and --json',
    async (_name, command) => {
      const { code, out, err } = await run(...command, '--help');
      expect({ code, err }).toEqual({ code: 0, err: '' });
      expect(out).toContain('Example:\n  $ ');
      expect(out).toContain('--json');
    },
  );

  it('of the whole lists every command and the exit codes', async () => {
    const { code, out } = await run('--help');
    expect(code).toBe(0);
    for (const [name] of COMMANDS) expect(out).toContain(`  ${name}`);
    expect(out).toContain('4 cannot reach the server');
  });
});

describe('wrong usage', () => {
  it.each([
    [['statsu'], 'Did you mean status?'],
    [['status', '--jsn'], 'Did you mean --json?'],
    [['profile', 'get', 'email'], "missing required argument 'value'"],
    [['tail', 'nothing'], 'Allowed choices'],
    [['dead', 'redrive'], 'give one id, or --all'],
    [['gateway', '--port', 'x', '--log-level', 'y'], '--log-level'],
    [[], 'Usage: stitchwork'],
  ])('%j exits 2 and says why', async (args, text) => {
    const { code, out, err } = await run(...args);
    expect(code).toBe(2);
    expect(err).toContain(text);
    expect(out).toBe('');
  });
});

describe('exit codes', () => {
  it('4 when nobody answers', async () => {
    const { code, err, out } = await run('status', '--url', 'http://127.0.0.1:1');
    expect({ code, out }).toEqual({ code: 4, out: '' });
    expect(err).toContain('cannot reach the gateway at http://127.0.0.1:1');
  });

  it('3 when a file is not there', async () => {
    expect((await run('replay', join(folder, 'none.ndjson'))).code).toBe(3);
    expect((await run('validate', join(folder, 'none.yaml'))).code).toBe(3);
  });

  it('every error of the table has one', () => {
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      expect([1, 2, 3, 4, 5]).toContain(describeFailure(new StitchworkError(code)).exitCode);
    }
    expect(describeFailure(new StitchworkError('LOG_UNAVAILABLE')).exitCode).toBe(4);
    expect(describeFailure(new StitchworkError('INVALID_SETTINGS')).exitCode).toBe(2);
    expect(describeFailure(new StitchworkError('INVALID_CONFIG')).exitCode).toBe(5);
    expect(describeFailure(new CommandFailure(5, 'm'))).toEqual({ exitCode: 5, message: 'm' });
    expect(describeFailure(new Error('m'))).toEqual({ exitCode: 1, message: 'm' });
  });
});

describe('replay --dry-run', () => {
  it('prints the first events as they would be sent, and sends nothing', async () => {
    const file = join(folder, 'orders.csv');
    writeFileSync(file, 'event,invoice,qty\npurchase,1,2\npurchase,1,x\n');
    const { code, out, err } = await run(
      'replay',
      file,
      '--dry-run',
      '--map',
      'name=event',
      '--map',
      'keys.invoice=invoice',
      '--map',
      'properties.qty=qty:number',
    );
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual({
      name: 'purchase',
      keys: { invoice: '1' },
      properties: { qty: 2 },
      messageId: expect.stringMatching(/^[\w-]{20,}$/),
    });
    expect(err).toContain('line 3: column qty');
  });

  it('a CSV without a mapping is wrong usage', async () => {
    const file = join(folder, 'plain.csv');
    writeFileSync(file, 'a\n1\n');
    expect(await run('replay', file)).toMatchObject({ code: 2, err: expect.stringContaining('mapping') });
  });
});

describe('the note of a dev process', () => {
  const handle = {
    url: 'http://127.0.0.1:9',
    natsUrl: 'nats://127.0.0.1:8',
    adminKey: 'a',
    writeKey: 'w',
    segments: ['shop'],
    pid: process.pid,
  };

  it('is readable by its owner only, and used while the process lives', () => {
    writeDevHandle(folder, handle);
    expect(statSync(join(folder, 'dev.json')).mode & 0o777).toBe(0o600);
    expect(readDevHandle(folder)).toEqual(handle);
    writeDevHandle(folder, { ...handle, pid: 2 ** 22 + 1 });
    expect(readDevHandle(folder)).toBeUndefined();
    expect(lastDevHandle(folder)).toMatchObject({ adminKey: 'a' });
    writeFileSync(join(folder, 'dev.json'), '{}');
    expect(lastDevHandle(folder)).toBeUndefined();
  });
});

describe('tables and colour', () => {
  it('pads columns and styles nothing when there is no colour', () => {
    expect(
      table(
        [
          ['A', 'BB'],
          ['long', 'x'],
        ],
        styleFor(false),
      ),
    ).toEqual(['A     BB', 'long  x']);
    expect(styleFor(true).bold('x')).not.toBe('x');
  });
});
