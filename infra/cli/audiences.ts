// `stitchwork audiences`: how large each audience is, and some of its members.
import type { Command } from 'commander';
import type { ClientFlags } from '../../shared/settings.ts';
import { apiGet } from './api-client.ts';
import { adminTarget, clientSettings } from './client-context.ts';
import { withApiFlags, withExample } from './flags.ts';
import type { Io } from './io.ts';

interface AudiencesAnswer {
  readonly audiences: readonly {
    readonly name: string;
    readonly size: number;
    readonly sample: readonly string[];
  }[];
}

const SHOWN_MAX = 3;

export function addAudiences(program: Command, io: Io): void {
  const command = program
    .command('audiences')
    .description('show how many profiles are in each audience, and some of them');
  withExample(withApiFlags(command), 'stitchwork audiences', 'stitchwork audiences --segment shop --json');
  command.action(async (flags: ClientFlags & { json?: boolean }) => {
    const target = adminTarget(clientSettings(flags, io));
    const answer = (await apiGet(target, '/v1/audiences')) as AudiencesAnswer;
    if (flags.json) io.out(JSON.stringify(answer));
    else if (answer.audiences.length === 0) io.talk('the config has no audiences');
    else for (const line of describe(answer, io)) io.out(line);
  });
}

function describe({ audiences }: AudiencesAnswer, io: Io): readonly string[] {
  const width = Math.max(...audiences.map(({ name }) => name.length));
  return audiences.map(({ name, size, sample }) => {
    const some = sample.slice(0, SHOWN_MAX).join(', ');
    return `${name.padEnd(width)}  ${String(size).padStart(9)}  ${io.style.dim(some)}`;
  });
}
