// The demo: the whole system on a free port and in a temporary folder, real data through its front door, a story of what
// came of it, and a check of all totals against an independent count. Leaves nothing behind.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { segmentNames } from '../../shared/contract/names.ts';
import { connectNats, surviveTransportErrors } from '../../shared/nats/connect.ts';
import { parseRoleSettings } from '../../shared/settings.ts';
import type { ApiTarget } from '../cli/api-client.ts';
import type { Io } from '../cli/io.ts';
import { endWith } from '../cli/nats-context.ts';
import { lagOf, readStatus } from '../cli/status.ts';
import { createLog } from '../log.ts';
import { packagePath } from '../package-root.ts';
import { createRegistry, type RunningDev, runDev } from '../wire.ts';
import { differences, type Observed } from './check.ts';
import { CART_FILE, cartEvents, RETAIL_FILE, retailEvents } from './events.ts';
import { countExpected, type Expected } from './expected.ts';
import { sendAll } from './load.ts';
import { countFacts, readActivations, readAudit, readProfiles } from './observed.ts';
import { returningVisitor } from './returning-visitor.ts';
import { type DemoReport, tellStory } from './story.ts';

const LAG_POLL_MS = 50;
const CATCH_UP_DEADLINE_MS = 60_000;
const COPY_DEADLINE_MS = 30_000;

/** Runs it all. True when every total is as counted. */
export async function runDemo(
  io: Io,
  options: { readonly json: boolean; readonly logLevel: string },
): Promise<boolean> {
  surviveTransportErrors(endWith(io));
  const folder = await mkdtemp(join(tmpdir(), 'stitchwork-demo-'));
  const flags = {
    config: [packagePath('infra/demo/shop.yaml')],
    port: '0',
    dataDir: folder,
    jobs: packagePath('infra/demo/jobs'),
    archiveFlush: '200ms',
    logLevel: options.logLevel,
  };
  const settings = { ...parseRoleSettings(flags, {}), natsUrl: undefined };
  const log = createLog('demo', settings.logLevel);
  try {
    io.talk('starting nats-server, a worker and a gateway');
    const dev = await runDev(settings, { log, registry: createRegistry() });
    try {
      const played = await playThrough(dev, io);
      const visit = await returningVisitor(dev, played.expected, io);
      const report = { ...played, visit, wrong: [...played.wrong, ...(visit?.wrong ?? [])] };
      if (options.json)
        io.out(JSON.stringify({ ...report, audit: undefined, observed: undefined, expected: undefined }));
      else for (const line of tellStory(report, io.style)) io.out(line);
      return report.wrong.length === 0;
    } finally {
      await dev.stop();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function playThrough(dev: RunningDev, io: Io): Promise<Omit<DemoReport, 'visit'>> {
  const admin: ApiTarget = { url: dev.url, key: dev.adminKey, segment: undefined };
  const writer: ApiTarget = { ...admin, key: dev.writeKey };
  const expected = countExpected(RETAIL_FILE, CART_FILE);
  io.talk(`sending ${expected.lines + expected.trackerEvents} events to ${dev.url}`);
  const startedMs = io.clock.elapsedMs();
  const retail = await sendAll(writer, retailEvents(), (sent) =>
    io.progress(`${sent} of ${expected.lines} invoice lines`),
  );
  const cart = await sendAll(writer, cartEvents(), () => {});
  const acceptedMs = io.clock.elapsedMs();
  await untilApplied(admin, io);
  const appliedMs = io.clock.elapsedMs();
  const { observed, audit } = await observe(dev, admin, expected, io);
  return {
    events: retail + cart,
    acceptSeconds: (acceptedMs - startedMs) / 1000,
    applySeconds: (appliedMs - startedMs) / 1000,
    expected,
    observed,
    audit,
    wrong: differences(expected, observed),
  };
}

async function untilApplied(admin: ApiTarget, io: Io): Promise<void> {
  const deadlineMs = io.clock.elapsedMs() + CATCH_UP_DEADLINE_MS;
  for (;;) {
    const lag = lagOf(await readStatus(admin));
    if (lag === 0) return;
    if (io.clock.elapsedMs() > deadlineMs) throw new Error(`still ${lag} events behind`);
    io.progress(`${lag} events to apply`);
    await io.clock.sleep(LAG_POLL_MS);
  }
}

async function observe(dev: RunningDev, admin: ApiTarget, expected: Expected, io: Io) {
  const door = await connectNats({ url: dev.natsUrl, name: 'stitchwork demo' });
  try {
    const names = segmentNames(dev.segments[0] ?? '');
    const customers = await readProfiles(admin, 'customer_id', expected.customers.keys());
    const anonymous = await readProfiles(admin, 'invoice', expected.anonymous.keys());
    const visitors = await readVisitors(admin);
    // The server copies the outbox into its streams a moment after the commit.
    const deadlineMs = io.clock.elapsedMs() + COPY_DEADLINE_MS;
    let activations = await readActivations(door, names);
    while (activations.length < expected.vips.size && io.clock.elapsedMs() < deadlineMs) {
      await io.clock.sleep(LAG_POLL_MS);
      activations = await readActivations(door, names);
    }
    const audit = await readAudit(door, names);
    const observed: Observed = {
      customers,
      anonymous,
      visitors,
      activations,
      profilesAdded: countFacts(audit, 'profile_added'),
      profilesMerged: countFacts(audit, 'profiles_merged'),
    };
    return { observed, audit };
  } finally {
    await door.close();
  }
}

async function readVisitors(admin: ApiTarget) {
  const values: Record<string, Set<string>> = { user: new Set(), cookie: new Set(), session: new Set() };
  for await (const event of cartEvents()) {
    for (const [name, value] of Object.entries(event.keys)) values[name]?.add(value);
  }
  const byKey = await Promise.all(
    Object.entries(values).map(([name, all]) => readProfiles(admin, name, all)),
  );
  return byKey.flatMap((profiles) => [...profiles.values()]);
}
