/**
 * True where the field has this entity tag among others, or is `*`: RFC 9110 section 13.1.2. The comparison is the weak
 * one of section 8.8.3.2, so that the `W/` in front of a tag, which proxies that compress put there, does not matter.
 */
export function ifNoneMatch(field: string | undefined, etag: string): boolean {
  if (field === undefined) return false;
  return field.trim() === '*' || (field.match(/"[^"]*"/g)?.includes(etag) ?? false);
}
