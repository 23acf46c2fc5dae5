// Compares what the system says with the independent count. Every difference is a line; none means that it is right.
import type { Activation } from '../../shared/contract/outbox.ts';
import type { CustomerTotals, Expected } from './expected.ts';
import type { ProfileAnswer } from './observed.ts';

export interface Observed {
  readonly customers: ReadonlyMap<string, ProfileAnswer>;
  readonly anonymous: ReadonlyMap<string, ProfileAnswer>;
  /** Profiles of every cookie, session and user of the web shop. */
  readonly visitors: readonly ProfileAnswer[];
  readonly activations: readonly Activation[];
  readonly profilesAdded: number;
  readonly profilesMerged: number;
}

/** Sums of amounts in binary fractions, added in another order. */
const TOLERANCE = 1e-6;

/** Everything that differs, in words. */
export function differences(expected: Expected, observed: Observed): readonly string[] {
  return [
    ...compareTotals('customer', expected.customers, observed.customers),
    ...compareTotals('anonymous invoice', expected.anonymous, observed.anonymous),
    ...compareProfileCount(expected, observed),
    ...compareVisitors(expected, observed),
    ...compareActivations(expected, observed),
  ];
}

/** Ids of all profiles that were seen. */
export function profileIds(observed: Observed): ReadonlySet<string> {
  const profiles = [...observed.customers.values(), ...observed.anonymous.values(), ...observed.visitors];
  return new Set(profiles.map((profile) => profile.id));
}

function compareTotals(
  what: string,
  expected: ReadonlyMap<string, CustomerTotals>,
  observed: ReadonlyMap<string, ProfileAnswer>,
): readonly string[] {
  const wrong: string[] = [];
  for (const [name, totals] of expected) {
    const profile = observed.get(name);
    if (!profile) {
      wrong.push(`${what} ${name}: no profile`);
      continue;
    }
    for (const counter of ['orders', 'units', 'spend', 'returned'] as const) {
      const has = numberOf(profile.attributes[counter]);
      if (!near(has, totals[counter]))
        wrong.push(`${what} ${name}: ${counter} is ${has}, counted ${totals[counter]}`);
    }
    const invoices = [...(profile.keys.invoice ?? [])].sort().join();
    if (invoices !== [...totals.invoices].sort().join())
      wrong.push(`${what} ${name}: other invoices than counted`);
  }
  return wrong;
}

function compareProfileCount(expected: Expected, observed: Observed): readonly string[] {
  const wanted = expected.customers.size + expected.anonymous.size + expected.visitors;
  const ids = profileIds(observed).size;
  const left = observed.profilesAdded - observed.profilesMerged;
  const wrong: string[] = [];
  if (ids !== wanted) wrong.push(`${ids} profiles, counted ${wanted}`);
  if (left !== wanted) {
    wrong.push(
      `audit: ${observed.profilesAdded} added and ${observed.profilesMerged} merged leave ${left}, counted ${wanted}`,
    );
  }
  return wrong;
}

function compareVisitors(expected: Expected, observed: Observed): readonly string[] {
  const unique = [...new Map(observed.visitors.map((profile) => [profile.id, profile])).values()];
  const sum = (name: string) =>
    unique.reduce((total, profile) => total + numberOf(profile.attributes[name]), 0);
  const wrong: string[] = [];
  if (unique.length !== expected.visitors)
    wrong.push(`${unique.length} visitors, counted ${expected.visitors}`);
  if (!near(sum('web_spend'), expected.webSpend))
    wrong.push(`web spend is ${sum('web_spend')}, counted ${expected.webSpend}`);
  if (sum('views') !== expected.productViews)
    wrong.push(`${sum('views')} product views, counted ${expected.productViews}`);
  return wrong;
}

function compareActivations(expected: Expected, observed: Observed): readonly string[] {
  const fired = observed.activations.map((activation) => String(activation.payload.customer));
  const wrong: string[] = [];
  if (new Set(observed.activations.map(({ id }) => id)).size !== fired.length)
    wrong.push('an activation id appears twice');
  if (new Set(fired).size !== fired.length) wrong.push('a customer was welcomed twice');
  const missing = [...expected.vips].filter((customer) => !fired.includes(customer));
  const extra = fired.filter((customer) => !expected.vips.has(customer));
  if (missing.length > 0)
    wrong.push(`no activation for ${missing.length} customers: ${missing.slice(0, 5).join(', ')}`);
  if (extra.length > 0) wrong.push(`${extra.length} activations too many: ${extra.slice(0, 5).join(', ')}`);
  return wrong;
}

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

function near(a: number, b: number): boolean {
  return Math.abs(a - b) <= TOLERANCE * Math.max(1, Math.abs(a), Math.abs(b));
}
