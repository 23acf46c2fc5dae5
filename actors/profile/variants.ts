// Variants of personalization: given to a profile with the first event that asks the service, in the same commit, and kept
// beside the splits of journeys, so that they go through merges as those do. A read gives nothing and shows what would be given.
import type { SectionConfig, ServiceConfig } from '../../shared/contract/config/personalization-config.ts';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import { drawBranch } from '../journeys/split.ts';
import { NO_PAST } from '../journeys/states.ts';
import type { Profile } from './profile.ts';

/** No journey has a name like this. */
const pastOf = (service: string) => `service:${service}`;

/** The variant of a section that a profile has or would be given; undefined: the section has none. */
export function variantOf(
  profile: Pick<Profile, 'id' | 'journeyPasts'>,
  segment: string,
  service: string,
  section: SectionConfig,
): SectionConfig['split'][number] | undefined {
  if (section.split.length === 0) return undefined;
  const past = pastOf(service);
  const known = profile.journeyPasts?.[past]?.splits[section.name];
  return drawBranch(section.split, known, [segment, past, section.name], profile.id);
}

/** The profile with a variant of every section of the service that has some; the same reference when it has them already. */
export function withVariants(profile: Profile, name: string, config: SegmentConfig): Profile {
  const service: ServiceConfig | undefined = config.personalization.find((each) => each.name === name);
  const past = pastOf(name);
  const before = profile.journeyPasts?.[past] ?? NO_PAST;
  const splits: Record<string, string> = { ...before.splits };
  let isSame = true;
  for (const section of service?.sections ?? []) {
    const variant = variantOf(profile, config.segment, name, section);
    if (!variant || splits[section.name] === variant.name) continue;
    splits[section.name] = variant.name;
    isSame = false;
  }
  if (isSame) return profile;
  return { ...profile, journeyPasts: { ...profile.journeyPasts, [past]: { ...before, splits } } };
}
