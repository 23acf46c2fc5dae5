// Every scenario, in the order in which a run takes them: the ceiling after `apply`, whose records it copies in size.
import type { Scenario } from '../scenario.ts';
import { activations } from './activations.ts';
import { apply, applyNew, applyTwo } from './apply.ts';
import { ceiling } from './ceiling.ts';
import { definitions } from './definitions.ts';
import { httpBatch, httpSingle } from './http-ingest.ts';
import { read, waitCommit } from './http-latency.ts';
import { identity } from './identity.ts';
import { million } from './million.ts';
import { peers } from './peers.ts';
import { personalization } from './personalization.ts';
import { serverRestart } from './server-restart.ts';
import { snapshots } from './snapshots.ts';
import { sqlJob } from './sql-job.ts';
import { takeover } from './takeover.ts';
import { timers } from './timers.ts';

export const SCENARIOS: readonly Scenario[] = [
  apply,
  ceiling,
  applyNew,
  applyTwo,
  httpBatch,
  httpSingle,
  waitCommit,
  read,
  personalization,
  identity,
  definitions,
  takeover,
  serverRestart,
  million,
  snapshots,
  sqlJob,
  activations,
  timers,
  peers,
];
