/**
 * A string of Terraform, in which nothing is a template: the HCL native syntax specification, "Template Expressions". A
 * template begins with the character itself, never with its number.
 */
export function hclString(value: string): string {
  const inner = value.replace(/["\\]/g, '\\$&').replace(/[\p{Cc}$%]/gu, numbered);
  return `"${inner}"`;
}

export function hclList(values: readonly string[]): string {
  return `[${values.map(hclString).join(', ')}]`;
}

function numbered(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
