// Heartbeats in a memory bucket with a TTL, and probes on core subjects: a process that is gone has no responder, so its
// death is known after one round trip.
import type { Subscription } from 'nats';
import { bucketStream, MEMBERS_BUCKET, type SegmentNames } from '../contract/names.ts';
import { StitchworkError } from '../kernel/errors.ts';
import type { MemberReport, Membership } from '../ports/membership.ts';
import type { NatsDoor } from './connect.ts';
import { callApi } from './jetstream-api.ts';

const HEARTBEAT_MS = 1000;
/** Payload of a probe that asks for everything; an empty one asks for liveness and ownership. */
const DETAILED = 'detailed';

export function createMembership(
  door: NatsDoor,
  names: SegmentNames,
  options: { readonly heartbeatMs?: number } = {},
): Membership {
  const subjectOf = (id: string) => `$KV.${MEMBERS_BUCKET}.${names.memberKey(id)}`;
  let stop: (() => Promise<void>) | undefined;
  return {
    async join(id, report) {
      const answering = answerProbes(door, names.probeSubject(id), report);
      const beat = () =>
        void door.request(subjectOf(id), JSON.stringify({ id }), { timeoutMs: HEARTBEAT_MS });
      const forget = door.onReconnect(beat);
      const timer = setInterval(beat, options.heartbeatMs ?? HEARTBEAT_MS);
      await door.request(subjectOf(id), JSON.stringify({ id }));
      stop = async () => {
        clearInterval(timer);
        forget();
        answering.unsubscribe();
        await purgeKey(door, subjectOf(id));
      };
    },
    async leave() {
      await stop?.();
      stop = undefined;
    },
    members: () => readMembers(door, names),
    async probe(id, timeoutMs, detailed = false) {
      const reply = await door.request(names.probeSubject(id), detailed ? DETAILED : '', { timeoutMs });
      if (reply.kind === 'no_responders') return { kind: 'gone' };
      if (reply.kind !== 'reply') return { kind: 'silent' };
      return { kind: 'alive', report: reply.msg.json<MemberReport>() };
    },
    onReconnect: (callback) => door.onReconnect(callback),
  };
}

function answerProbes(
  door: NatsDoor,
  subject: string,
  report: (detailed?: boolean) => MemberReport,
): Subscription {
  return door.nc.subscribe(subject, {
    callback: (error, msg) => {
      if (!error) msg.respond(JSON.stringify(report(msg.string() === DETAILED)));
    },
  });
}

/** Subjects that have a message: the TTL removes those of the dead. */
async function readMembers(door: NatsDoor, names: SegmentNames): Promise<readonly string[]> {
  const prefix = `$KV.${MEMBERS_BUCKET}.`;
  const filter = `${prefix}${names.memberKeyFilter}`;
  const answer = await callApi(
    door,
    `STREAM.INFO.${bucketStream(MEMBERS_BUCKET)}`,
    { subjects_filter: filter },
    2000,
  );
  if (answer.kind !== 'ok') {
    const reason = answer.kind === 'error' ? answer.error.description : answer.reason;
    throw new StitchworkError('STORE_UNAVAILABLE', `the list of members cannot be read: ${reason}`);
  }
  const { subjects = {} } = answer.body.state as { subjects?: Record<string, number> };
  const head = filter.slice(0, -1);
  return Object.keys(subjects).map((subject) => subject.slice(head.length));
}

async function purgeKey(door: NatsDoor, subject: string): Promise<void> {
  await callApi(door, `STREAM.PURGE.${bucketStream(MEMBERS_BUCKET)}`, { filter: subject }, 1000);
}
