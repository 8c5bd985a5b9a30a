import type { Random } from './random.ts';

/**
 * A value as JSON text (RFC 8259). Most of the time plainly; else with white space, escapes that are not needed, numbers
 * of another form and members that stand there twice, which a reader that skips over parts may take for something else.
 */
export function spellJson(value: unknown, random: Random): string {
  if (!random.once(4)) return JSON.stringify(value);
  const often = random.pick([2, 8, 40]);
  const odd = () => random.once(often);
  const space = () => (odd() ? random.pick([' ', '\n', '\t', '\r', '  \n']) : '');
  const text = (given: string) =>
    `"${JSON.stringify(given)
      .slice(1, -1)
      .replace(/\\.[^\\]{0,4}|[^\\]/gsu, (each) => (odd() ? escaped(each, random) : each))}"`;
  const number = (given: number) => {
    const plain = JSON.stringify(given);
    return odd() && /^-?\d+$/.test(plain) ? `${plain}${random.pick(['.0', 'e0', 'E+0', '.00e-0'])}` : plain;
  };
  const spell = (each: unknown): string => `${space()}${bare(each)}${space()}`;
  const bare = (each: unknown): string => {
    if (typeof each === 'string') return text(each);
    if (typeof each === 'number') return number(each);
    if (Array.isArray(each)) return `[${each.map(spell).join(',') || space()}]`;
    if (typeof each !== 'object' || each === null) return JSON.stringify(each) ?? 'null';
    const members = Object.entries(each).flatMap(([key, member]) => {
      const written = `${space()}${text(key)}${space()}:${spell(member)}`;
      if (!odd() || !random.once(2)) return [written];
      const twin = `${text(key)}:${JSON.stringify(random.pick([null, '', 'twin', {}, [], 1]))}`;
      return random.once(2) ? [written, twin] : [twin, written];
    });
    return `{${members.join(',') || space()}}`;
  };
  return spell(value);
}

/** One character of a JSON text in its longest form; what is escaped already stays. */
function escaped(character: string, random: Random): string {
  if (character.startsWith('\\')) return character;
  if (character === '/') return '\\/';
  return [...Array(character.length).keys()]
    .map((index) => {
      const hex = character.charCodeAt(index).toString(16).padStart(4, '0');
      return `\\u${random.once(2) ? hex.toUpperCase() : hex}`;
    })
    .join('');
}
