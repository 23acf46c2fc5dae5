// Phone numbers in E.164. The library's smallest build is enough: it knows countries and the possible lengths of their
// numbers, which is what is asked here (whether a number is in use, nobody can tell from its digits).
import { type CountryCode, isSupportedCountry, parsePhoneNumberFromString } from 'libphonenumber-js/min';

export type PhoneNumber =
  | { readonly kind: 'ok'; readonly value: string }
  | { readonly kind: 'rejected'; readonly detail: string };

/** Whether numbers of a region (ISO 3166-1 alpha-2) may be written without the country. */
export function isPhoneRegion(region: string): region is CountryCode {
  return isSupportedCountry(region);
}

/** A number as `+<country><number>`. One that is written without its country is taken for one of `region`. */
export function toE164(text: string, region: string | null): PhoneNumber {
  const country = region !== null && isPhoneRegion(region) ? { defaultCountry: region } : undefined;
  // Digits and signs of every width count; what stands around a number in a text does not make it one.
  const written = text.normalize('NFKC').trim();
  const number = parsePhoneNumberFromString(written, { ...country, extract: false });
  if (!number) {
    const where = region === null ? 'starts with + and a country' : `is one of ${region}, or starts with +`;
    return rejected(`no phone number that ${where}`);
  }
  // Two people behind one switchboard are not one person.
  if (number.ext !== undefined) return rejected('a phone number with an extension, which E.164 cannot hold');
  if (!number.isPossible()) return rejected(`no possible number of country +${number.countryCallingCode}`);
  const value = number.number;
  // What was written in that form already was read as itself just now.
  if (value !== written && !isStable(value)) return rejected('can be read as two phone numbers');
  return { kind: 'ok', value };
}

/**
 * Whether the number is read as itself. Of some, which no country gives out, the library takes leading digits for a
 * dialling prefix, each time anew.
 */
function isStable(value: string): boolean {
  const again = parsePhoneNumberFromString(value, { extract: false });
  return again?.number === value && again.isPossible();
}

function rejected(detail: string): PhoneNumber {
  return { kind: 'rejected', detail };
}
