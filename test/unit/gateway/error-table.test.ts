// The table of codes in gateway/README.md against the one in code and against /openapi.json, both ways.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { answers } from '../../../gateway/http/schemas.ts';
import { ERRORS, type ErrorCode } from '../../../shared/kernel/errors.ts';
import { startGateway } from './support/harness.ts';

const readme = readFileSync(join(import.meta.dirname, '../../../gateway/README.md'), 'utf8');
const rows = [...readme.matchAll(/^\| ([\d, ]+) \| ([A-Z_, ]+) \|$/gm)].map(([, statuses, codes]) => ({
  statuses: statuses!.split(',').map(Number),
  codes: codes!.split(',').map((code) => code.trim()) as ErrorCode[],
}));
const listed = rows.flatMap(({ codes }) => codes);

describe('the error table', () => {
  it('gives each code the status that it has', () => {
    expect(rows.length).toBeGreaterThan(5);
    for (const { statuses, codes } of rows)
      for (const code of codes) expect(statuses, code).toContain(ERRORS[code].status);
    for (const { statuses, codes } of rows)
      for (const status of statuses) expect(codes.some((code) => ERRORS[code].status === status)).toBe(true);
  });

  it('lists every code once that /openapi.json promises', async () => {
    await using gateway = await startGateway();
    const promised = new Set(
      [...(await gateway.get('/openapi.json')).body.matchAll(/"code":"([A-Z_]+)"/g)].map(([, code]) => code),
    );
    expect([...promised].filter((code) => !listed.includes(code as ErrorCode))).toEqual([]);
    expect(new Set(listed).size).toBe(listed.length);
  });

  it('answers() puts codes of one status together', () => {
    expect(Object.keys(answers({ 200: {} }, 'NO_KEYS', 'BAD_REQUEST', 'OVERLOADED'))).toEqual([
      '200',
      '400',
      '429',
      '500',
      '503',
    ]);
  });
});
