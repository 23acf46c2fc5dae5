// A profile actor over records in memory, events in few words, and what must hold of links, redirects and profiles.
import { createProfileActor } from '../../../actors/profile/actor.ts';
import type { Link, Profile, Redirect } from '../../../actors/profile/profile.ts';
import { type ProfileView, viewProfile } from '../../../actors/profile/view.ts';
import { parseSegmentConfig } from '../../../shared/contract/config/parse.ts';
import type { SegmentConfig } from '../../../shared/contract/config/segment-config.ts';
import type { CustomerEvent } from '../../../shared/contract/event.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import type { Activation, AuditEntry, AuditFact } from '../../../shared/contract/outbox.ts';
import { Fold, type FoldOptions, type Sent } from '../../support/fold.ts';

export const T0 = Date.UTC(2026, 0, 1);
export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export const BASE_KEYS = `
    - { name: customer_id, limit: 1 }
    - { name: email, limit: 5, normalize: [trim, lowercase] }
    - { name: device, kind: device, limit: 100 }`;

/** A config with the usual keys; `rest` is appended at the top level. */
export function configOf(rest = '', stitching = `keys:${BASE_KEYS}`): SegmentConfig {
  return parseConfig(`segment: shop\nstitching:\n  ${stitching}\n${rest}`);
}

export function parseConfig(yaml: string): SegmentConfig {
  const parsed = parseSegmentConfig(yaml);
  if (parsed.kind === 'ok') return parsed.config;
  throw new Error(parsed.problems.map((p) => `${p.line}:${p.column} ${p.path}: ${p.message}`).join('\n'));
}

export interface EventShape {
  readonly id?: string;
  readonly name?: string;
  readonly keys?: Readonly<Record<string, string>>;
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly timestampMs?: number | undefined;
  readonly table?: string;
}

let made = 0;

export function eventOf(shape: EventShape): CustomerEvent {
  made += 1;
  const { id = `m-${made}`, name = 'Viewed', keys = { device: 'd1' }, properties = {} } = shape;
  return { messageId: id, name, keys, properties, timestampMs: shape.timestampMs, table: shape.table };
}

/** The fold of a profile actor, with the questions that tests ask. */
export class ProfileFold extends Fold {
  readonly config: SegmentConfig;

  constructor(config: SegmentConfig, options: FoldOptions & { configVersion?: number } = {}) {
    super(createProfileActor(config, { shards: 8, configVersion: options.configVersion ?? 1 }), options);
    this.config = config;
  }

  send(shape: EventShape, nowMs = T0): Sent {
    return this.event(eventOf(shape), { nowMs });
  }

  /** The live profile that a key leads to, through redirects; undefined when there is no link. */
  holder(keyName: string, value: string): Profile | undefined {
    const link = this.records.get(recordKeys.link(keyName, value)) as Link | undefined;
    return link?.profileId ? this.resolve(link.profileId) : undefined;
  }

  /** The live profile that an id stands for. */
  resolve(profileId: string): Profile | undefined {
    let id = profileId;
    for (let hops = 0; hops < 10_000; hops++) {
      const state = this.records.get(recordKeys.profile(id)) as Profile | Redirect | undefined;
      if (state === undefined || state.kind === 'profile') return state;
      id = state.to;
    }
    throw new Error(`redirects in a circle from ${profileId}`);
  }

  profiles(): readonly Profile[] {
    return this.#states().filter((state) => state.kind === 'profile');
  }

  redirects(): readonly Redirect[] {
    return this.#states().filter((state) => state.kind === 'redirect');
  }

  view(keyName: string, value: string, nowMs = T0): ProfileView {
    const profile = this.holder(keyName, value);
    if (!profile) throw new Error(`no profile has ${keyName}:${value}`);
    return viewProfile(profile, this.config, nowMs);
  }

  audit(): readonly AuditEntry[] {
    return this.bodies('o.audit.') as AuditEntry[];
  }

  facts(kind?: AuditFact['kind']): readonly AuditFact[] {
    return this.audit()
      .flatMap(({ facts }) => facts)
      .filter((fact) => kind === undefined || fact.kind === kind);
  }

  activations(): readonly Activation[] {
    return this.bodies('o.activation.') as Activation[];
  }

  /** Sets of `name:value` that are one profile, in a fixed order. */
  partition(): readonly (readonly string[])[] {
    return this.profiles()
      .map((profile) => keyTexts(profile))
      .sort((a, b) => (a.join() < b.join() ? -1 : 1));
  }

  /** What does not fit together among links, redirects and profiles; empty when all is well. */
  contradictions(): readonly string[] {
    const wrong: string[] = [];
    const owners = new Map<string, string>();
    for (const profile of this.profiles()) {
      for (const [name, held] of Object.entries(profile.keys)) {
        for (const { value } of held) {
          const linkKey = recordKeys.link(name, value);
          const other = owners.get(linkKey);
          if (other) wrong.push(`${name}:${value} is listed by ${other} and by ${profile.id}`);
          owners.set(linkKey, profile.id);
          const led = this.holder(name, value)?.id;
          if (led !== profile.id) wrong.push(`${name}:${value} of ${profile.id} leads to ${led}`);
        }
      }
    }
    for (const [key, state] of this.records) {
      const { kind } = state as { kind?: string };
      const isOwned = kind === 'link' && (state as Link).profileId !== null;
      if (isOwned && !owners.has(key)) wrong.push(`${key} is listed by no profile`);
      if (kind === 'redirect' && !this.resolve((state as Redirect).to)) wrong.push(`${key} leads nowhere`);
    }
    return wrong;
  }

  #states(): readonly (Profile | Redirect)[] {
    return [...this.records]
      .filter(([key]) => key.startsWith('p.'))
      .map(([, state]) => state as Profile | Redirect);
  }
}

export function keyTexts(profile: Profile): readonly string[] {
  return Object.entries(profile.keys)
    .flatMap(([name, held]) => held.map(({ value }) => `${name}:${value}`))
    .sort();
}
