import type { CommandName, CommandSettings } from './catalog/commands.ts';
import { isUnsafeIssuer } from './codec.ts';
import type { Problem } from './fault.ts';

/** Settings as far as they could be parsed: what is wrong by itself is absent here. */
type Parsed<C extends CommandName> = Partial<CommandSettings<C>>;

const HTTPS_ISSUER = 'an https URL; http on loopback';

/** Settings that are right by themselves and wrong together, by command. */
export const checks: { readonly [C in CommandName]?: (settings: Parsed<C>) => Problem[] } = {
  discovery({ issuer, keys = [], keySource = [], tlsCert, tlsKey, allowHttpIssuer }) {
    const problems: Problem[] = [];
    const add = (key: string, wrong: string, accepted: string, value?: string) =>
      problems.push({ object: 'podpass discovery', key, wrong, accepted, ...(value === undefined ? {} : { value }) });
    const kinds = keySourcesOf({ keys, keySource });
    if (issuer === undefined && !kinds.includes('cluster')) {
      add('--issuer', 'is missing', 'an issuer, or the cluster as a key source');
    }
    if (issuer !== undefined && isUnsafeIssuer(issuer) && !allowHttpIssuer) {
      add('--issuer', 'is not https', `${HTTPS_ISSUER}, or with --allow-http-issuer`, issuer);
    }
    if (kinds.includes('files') && keys.length === 0) {
      add('--keys', 'is missing', 'files or folders with keys, as files are a key source');
    }
    if (!kinds.includes('files') && keys.length > 0) {
      add('--key-source', 'leaves out the files of --keys', [...kinds, 'files'].join(','), kinds.join(','));
    }
    if ((tlsCert === undefined) !== (tlsKey === undefined)) {
      add(tlsCert === undefined ? '--tls-cert' : '--tls-key', 'is missing', 'both or none of --tls-cert and --tls-key');
    }
    return problems;
  },
  webhook({ tlsMode, tlsCaLifetime, tlsCertLifetime }) {
    if (tlsMode !== 'managed' || tlsCaLifetime === undefined || tlsCertLifetime === undefined) return [];
    if (tlsCaLifetime >= 3 * tlsCertLifetime) return [];
    const wrong = 'is less than three times --tls-cert-lifetime';
    // What is left of a CA when it is renewed is then enough for a whole certificate.
    const accepted = `at least ${3 * tlsCertLifetime}s`;
    return [{ object: 'podpass webhook', key: '--tls-ca-lifetime', value: `${tlsCaLifetime}s`, wrong, accepted }];
  },
  verify({ issuer }) {
    if (issuer === undefined || !isUnsafeIssuer(issuer)) return [];
    return [
      { object: 'podpass verify', key: '--issuer', value: issuer, wrong: 'is not https', accepted: HTTPS_ISSUER },
    ];
  },
  jwks({ keys = [], kubeconfig }) {
    if (keys.length === 0 || kubeconfig === undefined) return [];
    const wrong = 'stands beside --keys';
    return [{ object: 'podpass jwks', key: '--kubeconfig', value: kubeconfig, wrong, accepted: 'one of the two' }];
  },
};

/** Where discovery gets keys from: what was asked for, or what the other settings imply. */
export function keySourcesOf({
  keySource,
  keys,
}: Pick<CommandSettings<'discovery'>, 'keySource' | 'keys'>): readonly ('cluster' | 'files')[] {
  if (keySource.length > 0) return keySource;
  return keys.length > 0 ? ['files'] : ['cluster'];
}
