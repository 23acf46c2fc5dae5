// The demo's story in a screen of text: rates, counts, one customer's life as it was stitched, an activation.
import type { AuditEntry } from '../../shared/contract/outbox.ts';
import type { Style } from '../cli/io.ts';
import { type Observed, profileIds } from './check.ts';
import type { Expected } from './expected.ts';
import { shortId, tellLife } from './life.ts';
import type { ProfileAnswer } from './observed.ts';
import { tellVisit, type Visit } from './returning-visitor.ts';

export interface DemoReport {
  readonly events: number;
  readonly acceptSeconds: number;
  readonly applySeconds: number;
  readonly expected: Expected;
  readonly observed: Observed;
  readonly audit: readonly AuditEntry[];
  readonly visit: Visit | undefined;
  /** Differences from the independent count. */
  readonly wrong: readonly string[];
}

const LIFE_LINES_MAX = 14;
const WRONG_LINES_MAX = 20;

/** The whole story. */
export function tellStory(report: DemoReport, style: Style): readonly string[] {
  const { expected, observed } = report;
  const count = (n: number) => Math.round(n).toLocaleString('en');
  return [
    '',
    style.bold('What happened'),
    `  ${count(report.events)} events (${count(expected.lines)} invoice lines, ${count(expected.trackerEvents)} web shop events)`,
    `  accepted and on disk in ${report.acceptSeconds.toFixed(1)} s: ${count(report.events / report.acceptSeconds)} events/s`,
    `  all applied after ${report.applySeconds.toFixed(1)} s: ${count(report.events / report.applySeconds)} events/s, one process, one nats-server`,
    `  ${count(observed.profilesAdded)} profiles were opened, ${count(observed.profilesMerged)} merges left ${count(profileIds(observed).size)}`,
    `  ${count(observed.activations.length)} activations fired: customers whose spend reached 1,000`,
    '',
    ...lifeOfOneCustomer(report, style),
    '',
    ...oneActivation(report, style),
    '',
    ...(report.visit ? [...tellVisit(report.visit, style), ''] : []),
    ...verdict(report, style),
  ];
}

function lifeOfOneCustomer(report: DemoReport, style: Style): readonly string[] {
  const customer = interestingCustomer(report);
  const profile = customer === undefined ? undefined : report.observed.customers.get(customer);
  if (customer === undefined || !profile) return [];
  const profileIds = new Set([profile.id, ...(profile.mergedFrom ?? [])]);
  const { audit } = report;
  const lines = tellLife({ customer, profileIds, audit, activations: report.observed.activations });
  const left = lines.length - LIFE_LINES_MAX;
  return [
    style.bold(`The life of customer ${customer}, as it was stitched`),
    ...lines.slice(0, LIFE_LINES_MAX).map((line) => `  ${line}`),
    ...(left > 0 ? [style.dim(`  … and ${left} more`)] : []),
    `  today: ${describeProfile(profile)}`,
  ];
}

/** A customer with a few invoices and an activation, so that there is something to tell. */
function interestingCustomer({ expected, observed }: DemoReport): string | undefined {
  const score = (customer: string) => {
    const merged = observed.customers.get(customer)?.mergedFrom?.length ?? 0;
    return merged > 4 ? 0 : merged + (expected.vips.has(customer) ? 2 : 0);
  };
  return [...expected.customers.keys()].sort((a, b) => score(b) - score(a))[0];
}

function describeProfile(profile: ProfileAnswer): string {
  const { orders, units, spend, country } = profile.attributes;
  const invoices = profile.keys.invoice?.length ?? 0;
  const amount = typeof spend === 'number' ? spend.toFixed(2) : '0';
  return `${orders} orders of ${units} units for ${amount}, ${country}; ${invoices} invoices stitched into one profile`;
}

function oneActivation(report: DemoReport, style: Style): readonly string[] {
  const customer = interestingCustomer(report);
  const { activations } = report.observed;
  const chosen = activations.find((activation) => activation.payload.customer === customer) ?? activations[0];
  if (!chosen) return [];
  return [
    style.bold('An activation that fired'),
    `  ${chosen.name} at ${chosen.at}, profile ${shortId(chosen.profileId)}, because of message ${chosen.cause.messageId}`,
    `  payload ${JSON.stringify(chosen.payload)}`,
  ];
}

function verdict({ wrong, expected }: DemoReport, style: Style): readonly string[] {
  if (wrong.length === 0) {
    const profiles = expected.customers.size + expected.anonymous.size + expected.visitors;
    return [
      style.green(
        `Checked against an independent count of the files: orders, units, spend and returns of ${expected.customers.size} customers and ${expected.anonymous.size} anonymous invoices, ${profiles} profiles, ${expected.vips.size} activations. All equal.`,
      ),
    ];
  }
  const shown = wrong.slice(0, WRONG_LINES_MAX).map((line) => `  ${line}`);
  return [style.red(`${wrong.length} differences from the independent count:`), ...shown];
}
