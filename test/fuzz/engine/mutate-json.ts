import type { Material } from './mutate-bytes.ts';
import type { Random } from './random.ts';
import { spellJson } from './spell-json.ts';

/** A place in a value: what holds it, and under which key. */
interface Place {
  readonly parent: Record<string, unknown> | unknown[];
  readonly key: string;
}

const ODD: readonly unknown[] = [null, true, false, 0, -1, 1.5, 1e21, 2 ** 53, '', ' ', '\u0000', '\ud800', [], {}];
const ODD_KEYS = ['__proto__', 'constructor', 'toString', 'toJSON', 'length', '', '0', '\u0000'];

/** One to four changes of the value, spelled in a way of their own; `undefined` where the input is not JSON. */
export function mutateJson(input: Buffer, random: Random, material: Material): Buffer | undefined {
  const root = { value: valueIn(input) };
  if (root.value === undefined) return undefined;
  for (let left = 1 + random.below(4); left > 0; left--) change(root, random, material);
  return Buffer.from(spellJson(root.value, random));
}

function valueIn(input: Buffer): unknown {
  try {
    return JSON.parse(input.toString()) as unknown;
  } catch {
    return undefined;
  }
}

function change(root: Record<string, unknown>, random: Random, material: Material): void {
  const places = placesIn(root);
  const { parent, key } = random.pick(places);
  const value = get(parent, key);
  const word = () => (material.dictionary.length === 0 ? '' : random.pick(material.dictionary));
  const from = () => {
    const other = { value: valueIn(material.other()) };
    const place = random.pick(placesIn(other));
    return structuredClone(get(place.parent, place.key)) ?? null;
  };
  switch (random.below(8)) {
    case 0:
      set(parent, key, structuredClone(random.pick(ODD)));
      break;
    case 1:
      set(parent, key, random.once(2) ? word() : from());
      break;
    case 2:
      if (Array.isArray(parent)) parent.splice(Number(key), 1);
      else if (parent !== root) delete parent[key];
      break;
    case 3: {
      if (Array.isArray(value)) value.splice(random.below(value.length + 1), 0, from());
      else if (isObject(value)) set(value, random.once(6) ? random.pick(ODD_KEYS) : word(), from());
      else set(parent, key, text(String(value), random, word));
      break;
    }
    case 4:
      if (Array.isArray(parent)) parent.splice(Number(key), 0, structuredClone(value));
      else if (parent !== root) set(parent, random.once(6) ? random.pick(ODD_KEYS) : word(), structuredClone(value));
      break;
    case 5:
      set(parent, key, random.once(2) ? [value] : { [word()]: value });
      break;
    case 6: {
      const second = random.pick(places);
      const kept = structuredClone(get(second.parent, second.key)) ?? null;
      set(parent, key, kept);
      break;
    }
    default:
      if (typeof value === 'string') set(parent, key, text(value, random, word));
      else if (typeof value === 'number') set(parent, key, value + random.below(3) - 1);
      else if (Array.isArray(value) && value.length > 0 && value.length < 40)
        set(parent, key, [...value, ...(structuredClone(value) as unknown[])]);
  }
}

const JOINS = [',', ' ', ';', '/', ':', '.', '-', '=', '\n', '$(', '%', '\u2028', '\u200b', 'é', '😀'];

/** A text with a piece more, less or of another kind. */
function text(value: string, random: Random, word: () => string): string {
  const at = random.below(value.length + 1);
  switch (random.below(6)) {
    case 0:
      return value.slice(0, at) + random.pick(JOINS) + value.slice(at);
    case 1:
      return value.slice(0, at) + value.slice(at + 1 + random.below(4));
    case 2:
      return `${value}${random.pick(JOINS)}${word()}`;
    case 3:
      return value.slice(0, at) + String.fromCharCode(random.below(random.once(4) ? 0x10000 : 128)) + value.slice(at);
    case 4:
      return value.length < 2000 ? value.repeat(2) : value;
    default:
      return value.replace(/\d+/, (digits) => String(Number(digits) + random.below(3) - 1));
  }
}

/** Every place below the root, the value itself among them. */
function placesIn(root: Record<string, unknown>): Place[] {
  const places: Place[] = [];
  const walk = (parent: Place['parent']) => {
    for (const key of Object.keys(parent)) {
      places.push({ parent, key });
      const value = get(parent, key);
      if (typeof value === 'object' && value !== null) walk(value as Place['parent']);
    }
  };
  walk(root);
  return places;
}

function get(parent: Place['parent'], key: string): unknown {
  return (parent as Record<string, unknown>)[key];
}

/** As JSON.parse does it: `__proto__` is a member like others. */
function set(parent: Place['parent'], key: string, value: unknown): void {
  Object.defineProperty(parent, key, { value, writable: true, enumerable: true, configurable: true });
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
