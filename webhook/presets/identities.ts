import type { HasContainerCredentials } from './aws.ts';

/**
 * The ServiceAccounts in a configuration of container credentials: `{"identities": [{"namespace", "serviceAccount"}]}`.
 * An empty text is none. Throws an Error that says what is wrong with it.
 */
export function parseIdentities(text: string): { readonly size: number; readonly has: HasContainerCredentials } {
  const identities = new Set(text === '' ? [] : listOf(text).map(nameOf));
  return { size: identities.size, has: (namespace, name) => identities.has(`${namespace}/${name}`) };
}

function listOf(text: string): readonly unknown[] {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw new Error('it is not JSON');
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) throw new Error('it is no object');
  const { identities = [] } = content as { identities?: unknown };
  if (identities === null) return [];
  if (!Array.isArray(identities)) throw new Error('"identities" is no list');
  return identities;
}

function nameOf(identity: unknown, index: number): string {
  const { namespace, serviceAccount } = (identity ?? {}) as Record<string, unknown>;
  if (typeof namespace !== 'string' || typeof serviceAccount !== 'string')
    throw new Error(`"identities[${index}]" has no "namespace" or no "serviceAccount"`);
  return `${namespace}/${serviceAccount}`;
}
