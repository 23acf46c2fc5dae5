// Each event once, under fire. The short form runs with all tests; the long one by `CRASH_SECONDS=90 npm run crash`.
// `CRASH_RECEIVER_DOWN=150` keeps the receiver away for so many seconds once. `CRASH_SEED` plays a schedule again, `CRASH_KEEP=1` keeps the folder with logs and data.
import { expect, it } from 'vitest';
import { type CrashOptions, runCrash } from './harness.ts';
import { singleServer } from './single-server-scenario.ts';

const SHORT_SECONDS = 20;
const env = process.env;
const seconds = Number(env.CRASH_SECONDS ?? SHORT_SECONDS);

const options: CrashOptions = {
  form: seconds >= 60 ? 'long' : 'short',
  seed: Number(env.CRASH_SEED ?? Math.floor(Math.random() * 1_000_000)),
  seconds,
  rate: Number(env.CRASH_RATE ?? 300),
  ...(env.CRASH_RECEIVER_DOWN && { receiverDownMs: Number(env.CRASH_RECEIVER_DOWN) * 1000 }),
};

it(
  'counts each accepted event once while workers, gateways and nats-server are killed and paused',
  async () => {
    const again = `CRASH_SEED=${options.seed} CRASH_SECONDS=${seconds} npx vitest run test/crash/crash.test.ts`;
    console.log(`crash test: ${again}`);
    const { violations, report, evidence } = await runCrash(singleServer, options);
    if (report) console.log(JSON.stringify(report, null, 1));
    if (violations.length > 0) console.error(`${evidence}\n${violations.join('\n')}\nagain: ${again}`);
    expect(violations, again).toEqual([]);
  },
  seconds * 1000 + 600_000,
);
