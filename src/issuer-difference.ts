/** Where two issuers differ that are easily taken for one, as the end of a sentence; nothing where they are simply two. */
export function issuerDifference(one: string, other: string): string | undefined {
  const are = (same: (issuer: string) => string) => same(one) === same(other);
  if (are((issuer) => issuer.replace(/\/$/, ''))) return 'they differ in the slash at the end';
  if (are((issuer) => issuer.toLowerCase())) return 'they differ in upper and lower case';
  if (are((issuer) => issuer.replace(/:443(?=\/|$)/, ''))) return 'they differ in the port';
  if (are((issuer) => issuer.replace(/^https?:/i, ''))) return 'they differ in http and https';
  return undefined;
}
