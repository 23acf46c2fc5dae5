// Networks as a config names them: one address, or one with the length of its prefix.

/** What is wrong with the text as a network; undefined: nothing. */
export function networkProblem(text: string): string | undefined {
  const [address = '', prefix, ...rest] = text.split('/');
  const bits = isV4(address) ? 32 : isV6(address) ? 128 : undefined;
  const isPrefix = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (bits ?? 0));
  if (bits !== undefined && isPrefix && rest.length === 0) return undefined;
  return `'${text}' is no network: one such as 203.0.113.0/24 or 2001:db8::/32, or one address`;
}

function isV4(text: string): boolean {
  const parts = text.split('.');
  return parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
}

/** A URL may hold an address of version 6 in brackets, and nothing else there. */
function isV6(text: string): boolean {
  return /^[0-9a-f:.]+$/i.test(text) && text.includes(':') && URL.canParse(`http://[${text}]/`);
}
