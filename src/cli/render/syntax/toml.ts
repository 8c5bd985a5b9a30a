/** A basic string: TOML 1.0, "String". */
function tomlString(value: string): string {
  const inner = value
    .replace(/["\\]/g, '\\$&')
    .replace(/\p{Cc}/gu, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return `"${inner}"`;
}

/** One line: `key = value`. */
export function tomlLine(key: string, value: string | boolean | readonly string[]): string {
  if (typeof value === 'boolean') return `${key} = ${value}\n`;
  return `${key} = ${typeof value === 'string' ? tomlString(value) : `[${value.map(tomlString).join(', ')}]`}\n`;
}
