// Parts that the schemas of a config file have in common.
import { Type } from 'typebox';
import { LIMITS_MAX } from './limits.ts';

export const strict = { additionalProperties: false } as const;
export const oneOf = (values: readonly string[]) => Type.Enum([...values]);
export const Name = Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' });
/** An expression, or any text of its size. */
export const Text = Type.String({ minLength: 1, maxLength: LIMITS_MAX.expression_chars });
export const Duration = Type.String({ format: 'duration' });
export const Payload = Type.Record(Type.String(), Type.Unknown());
