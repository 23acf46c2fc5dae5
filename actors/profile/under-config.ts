// A profile that an older config decided last, brought under the config in force: what the config no longer has is dropped.
import { isKept } from '../attributes/kinds.ts';
import type { Profile } from './profile.ts';
import type { Rules } from './rules.ts';

/** The same reference when this config decided last. Never given a profile of a newer config. */
export function underConfig(profile: Profile, { config, configVersion, audiences: known }: Rules): Profile {
  if (profile.configVersion === configVersion) return profile;
  const { audiences: before, ...rest } = profile;
  const attributes = only(profile.attributes, config.attributes.filter(isKept));
  const audiences = only(before ?? {}, known);
  const isNone = Object.keys(audiences).length === 0;
  return { ...rest, attributes, configVersion, ...(isNone ? {} : { audiences }) };
}

function only<T>(
  items: Readonly<Record<string, T>>,
  named: readonly { readonly name: string }[],
): Readonly<Record<string, T>> {
  const names = new Set(named.map(({ name }) => name));
  const entries = Object.entries(items);
  const kept = entries.filter(([name]) => names.has(name));
  return kept.length === entries.length ? items : Object.fromEntries(kept);
}
