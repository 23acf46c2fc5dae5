// `stitchwork identity split|remove-key|merge|job`: identities put right by hand, through the gateway.
import type { Command } from 'commander';
import type { ClientFlags } from '../../shared/settings.ts';
import { type ApiTarget, apiGet, apiPost } from './api-client.ts';
import { adminTarget, clientSettings } from './client-context.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { collect, withApiFlags, withExample } from './flags.ts';
import type { Io } from './io.ts';

interface JobAnswer {
  readonly id: string;
  readonly kind: 'split' | 'merge' | 'rebuild';
  readonly state: 'running' | 'done' | 'refused' | 'failed';
  readonly profileIds: readonly string[];
  readonly detail?: string;
  readonly countedFrom?: string;
}

interface Flags extends ClientFlags {
  readonly json?: boolean;
  readonly by?: string;
  readonly take?: readonly string[];
  readonly undo?: string;
  readonly force?: boolean;
  readonly allowIncomplete?: boolean;
  readonly all?: boolean;
  readonly attributes?: string;
  readonly wait: boolean;
}

const POLL_MS = 500;
const PROFILE = 'a stitching key as name:value, or id:<profile id>';

export function addIdentityJobs(identity: Command, io: Io): void {
  addSplit(identity, io);
  addRemoveKey(identity, io);
  addMerge(identity, io);
  addJob(identity, io);
}

/** `stitchwork identity split`, and `stitchwork profile split`. */
export function addSplit(group: Command, io: Io): void {
  const split = common(
    group
      .command('split')
      .description('part a profile in two; both get what the events of their own keys come to')
      .argument('<profile>', PROFILE)
      .option('--take <name:value>', 'a key that leaves (repeatable)', collect)
      .option('--undo <profileId>', 'bring back a profile that was merged into it, with the keys it had')
      .option('--allow-incomplete', 'also when the event log no longer reaches back to the beginning'),
  );
  withExample(
    split,
    `stitchwork ${group.name()} split customer_id:17850 --take email:bob@example.com --take anonymous_id:d7`,
    `stitchwork ${group.name()} split id:0192f7c1-… --undo 0192f7c2-…`,
  );
  split.action(async (profile: string, flags: Flags) => {
    if (!flags.take && flags.undo === undefined)
      throw new CommandFailure(
        EXIT.usage,
        'say which keys leave (--take name:value) or what to undo (--undo ID)',
      );
    const keys = flags.take && keysOf(flags.take);
    const { undo, allowIncomplete } = flags;
    await run('split', { profile: refOf(profile), keys, undo, allowIncomplete }, flags, io);
  });
}

function addRemoveKey(identity: Command, io: Io): void {
  const remove = common(
    identity
      .command('remove-key')
      .description('take one key off a profile; its events go with it')
      .argument('<profile>', PROFILE)
      .argument('<key>', 'the key, as name:value')
      .option('--allow-incomplete', 'also when the event log no longer reaches back to the beginning'),
  );
  withExample(remove, 'stitchwork identity remove-key customer_id:17850 email:bob@example.com');
  remove.action(async (profile: string, key: string, flags: Flags) => {
    const { allowIncomplete } = flags;
    const body = { profile: refOf(profile), keys: keysOf([key]), reason: 'removed', allowIncomplete };
    await run('split', body, flags, io);
  });
}

function addMerge(identity: Command, io: Io): void {
  const merge = common(
    identity
      .command('merge')
      .description('make two profiles one: the first becomes a part of the second')
      .argument('<from>', PROFILE)
      .argument('<into>', PROFILE)
      .option('--force', 'also across the limit of a key'),
  );
  withExample(merge, 'stitchwork identity merge email:ann@old.org customer_id:17850 --by support');
  merge.action(async (from: string, into: string, flags: Flags) => {
    await run('merge', { from: refOf(from), into: refOf(into), force: flags.force }, flags, io);
  });
}

function addJob(identity: Command, io: Io): void {
  const job = identity
    .command('job')
    .description('show how far a split or merge is')
    .argument('<id>', 'id of the job');
  withExample(withApiFlags(job), 'stitchwork identity job 0192f7c1-…');
  job.action(async (id: string, flags: Flags) => {
    const found = await readJob(adminTarget(clientSettings(flags, io)), id);
    show(found, flags, io);
  });
}

/** `stitchwork profile rebuild` */
export function addRebuild(profile: Command, io: Io): void {
  const rebuild = common(
    profile
      .command('rebuild')
      .description('count the attributes of a profile anew from its events, with the config in force')
      .argument('[profile]', PROFILE)
      .option('--all', 'every profile, some thousand in one reading of the log; needs --nats-url')
      .option('--attributes <names>', 'only these, comma-separated; the others go on as they are')
      .option('--nats-url <url>', 'NATS server, to list all profiles (env NATS_URL)')
      .option('--allow-incomplete', 'also when the event log no longer reaches back to the beginning'),
  );
  withExample(
    rebuild,
    'stitchwork profile rebuild customer_id:17850',
    'stitchwork profile rebuild --all --attributes favourite,mean_order',
  );
  rebuild.action(async (name: string | undefined, flags: Flags) => {
    const { allowIncomplete } = flags;
    const attributes = flags.attributes?.split(',').map((each) => each.trim());
    if ((name === undefined) === (flags.all !== true))
      throw new CommandFailure(EXIT.usage, 'name one profile, or give --all');
    if (name !== undefined)
      return run('rebuild', { profile: refOf(name), attributes, allowIncomplete }, flags, io);
    const { rebuildAll } = await import('./rebuild-all.ts');
    const done = await rebuildAll(flags, attributes, flags.by, io);
    io.out(flags.json ? JSON.stringify({ rebuilt: done }) : `${done} profiles rebuilt`);
  });
}

function common(command: Command): Command {
  const flagged = command
    .option('--by <name>', 'who asks; stands in the audit log')
    .option('--no-wait', 'do not wait for the end when it takes long');
  return withApiFlags(flagged);
}

async function run(what: 'split' | 'merge' | 'rebuild', body: object, flags: Flags, io: Io): Promise<void> {
  const target = adminTarget(clientSettings(flags, io));
  let job = (await apiPost(target, `/v1/identity/${what}`, { ...body, by: flags.by })) as JobAnswer;
  if (job.state === 'running' && flags.wait) io.talk(`job ${job.id} goes on; waiting for it`);
  while (job.state === 'running' && flags.wait) {
    await io.clock.sleep(POLL_MS);
    job = await readJob(target, job.id);
  }
  show(job, flags, io);
  if (job.state === 'refused' || job.state === 'failed')
    throw new CommandFailure(EXIT.failed, `the ${what} was not done: ${job.detail ?? job.state}`);
}

async function readJob(target: ApiTarget, id: string): Promise<JobAnswer> {
  return (await apiGet(target, `/v1/identity/jobs/${encodeURIComponent(id)}`)) as JobAnswer;
}

function show(job: JobAnswer, flags: Flags, io: Io): void {
  if (flags.json) {
    io.out(JSON.stringify(job));
    return;
  }
  io.out(`${job.kind} ${job.id}: ${job.state}`);
  for (const id of job.profileIds) io.out(`  profile ${id}`);
  if (job.countedFrom) io.out(`  events before ${job.countedFrom} were gone and do not count`);
}

function refOf(text: string): string | { readonly key: string; readonly value: string } {
  const { name, value } = pairOf(text);
  return name === 'id' ? value : { key: name, value };
}

function keysOf(texts: readonly string[]): Readonly<Record<string, readonly string[]>> {
  const keys: Record<string, readonly string[]> = {};
  for (const text of texts) {
    const { name, value } = pairOf(text);
    keys[name] = [...(keys[name] ?? []), value];
  }
  return keys;
}

function pairOf(text: string): { readonly name: string; readonly value: string } {
  const at = text.indexOf(':');
  if (at < 1 || at === text.length - 1)
    throw new CommandFailure(
      EXIT.usage,
      `'${text}' is no key: write it as name:value, such as email:ann@example.com`,
    );
  return { name: text.slice(0, at), value: text.slice(at + 1) };
}
