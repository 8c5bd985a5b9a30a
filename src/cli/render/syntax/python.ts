/** A string of Python, in ASCII: The Python Language Reference, section 2.5.1. */
export function pythonString(value: string): string {
  const inner = Array.from(value, (character) => {
    if (character === '"' || character === '\\') return `\\${character}`;
    const code = character.codePointAt(0) ?? 0;
    return code >= 0x20 && code < 0x7f ? character : `\\U${code.toString(16).padStart(8, '0')}`;
  });
  return `"${inner.join('')}"`;
}

/** A set of them, a line each. */
export function pythonSet(values: readonly string[]): string {
  return `{\n${values.map((value) => `    ${pythonString(value)},\n`).join('')}}`;
}
