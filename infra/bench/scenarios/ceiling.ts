// What the server takes from bare atomic batches of records of the size that the demo config makes: no events, no decisions,
// no expectations. With one batch in flight, as a worker has it, and with several.
import { openRig } from '../rig.ts';
import type { Case, Scenario } from '../scenario.ts';

const FALLBACK_RECORD_BYTES = 600;
export const CEILING_CASE = 'ceiling, 4 in flight';

export const ceiling: Scenario = {
  name: 'ceiling',
  about: 'bare atomic batches of 900 records over as many keys as there are profiles, same server, same disk',
  remote: false,
  byDefault: true,
  async run(context) {
    const { sizes } = context;
    const recordBytes = context.recordBytes ?? FALLBACK_RECORD_BYTES;
    const cases: Case[] = [];
    for (const inFlight of [1, 4]) {
      const rig = await openRig(context);
      try {
        const { messages, elapsedMs } = await rig.startLoad({
          ...rig.segment,
          kind: 'ceiling',
          records: sizes.profiles,
          recordBytes,
          seconds: sizes.seconds,
          inFlight,
        }).result;
        const perSecond = messages / (elapsedMs / 1000);
        const name = inFlight === 4 ? CEILING_CASE : 'ceiling, 1 in flight';
        cases.push({ name, figures: { 'records/s': perSecond, 'record bytes': recordBytes } });
      } finally {
        await rig.close();
      }
    }
    return cases;
  },
};
