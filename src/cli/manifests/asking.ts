import type { NamedKey, PlainKey } from '../../catalog/annotations.ts';
import { PREFIX } from './admission.ts';

/** What annotations ask for, in CEL: the registration and the policy must agree on it. */

/** What separates items of a list, as JavaScript's `\s` and a comma do, in the words of RE2. */
export const SPACE = String.raw`\s\x0b\p{Z}\x{feff}`;

export const key = (plain: PlainKey) => `${PREFIX}/${plain}`;
export const family = (named: NamedKey) => `${PREFIX}/${named}.`;
const matches = (value: string, pattern: string) => `${value}.matches(r'${pattern}')`;
/** A list with an item in it; an empty one is as good as none. */
export const hasItem = (value: string) => matches(value, `[^${SPACE},]`);
const hasText = (value: string) => matches(value, `[^${SPACE}]`);

const all = 'object.metadata.annotations';

/** A Pod that asks for tokens by its own annotations. */
export const ASKS = `has(${all}) && ${all}.exists(k,
  k == '${key('audiences')}' && ${hasItem(`${all}[k]`)} ||
  k.startsWith('${family('audience')}') && ${hasText(`${all}[k]`)})`;

/** A Pod that asks for oauth2-proxy by its own annotation. */
export const ASKS_FOR_PROXY = `has(${all}) && '${key('oauth2-proxy')}' in ${all} && ${hasText(`${all}['${key('oauth2-proxy')}']`)}`;
