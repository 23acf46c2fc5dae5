// Figures that come from two scenarios of the same run.
import type { Case } from './scenario.ts';
import { CEILING_CASE } from './scenarios/ceiling.ts';

const CEILING = 'ceiling';
const APPLYING = ['apply', 'apply-new'];

/** The cases of a run by scenario, what is applied also as a share of what bare batches reach. */
export function withCeilingShare(
  byScenario: ReadonlyMap<string, readonly Case[]>,
): ReadonlyMap<string, readonly Case[]> {
  const limit = byScenario.get(CEILING)?.find(({ name }) => name === CEILING_CASE)?.figures['records/s'];
  if (limit === undefined) return byScenario;
  const shared = new Map(byScenario);
  for (const name of APPLYING) {
    const cases = byScenario.get(name);
    if (cases)
      shared.set(
        name,
        cases.map((one) => withShare(one, limit)),
      );
  }
  return shared;
}

/** Events and records: an event writes less than one record when several of one profile share a commit. */
function withShare({ name, figures }: Case, limit: number): Case {
  const events = figures['events/s'] ?? Number.NaN;
  const records = events * (figures['records/event'] ?? Number.NaN);
  const shares = {
    'events, % of ceiling': (100 * events) / limit,
    'records, % of ceiling': (100 * records) / limit,
  };
  return { name, figures: { ...figures, ...shares } };
}
