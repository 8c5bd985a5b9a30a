import type { CommandName, CommandSettings } from './catalog/commands.ts';
import { AZURE_PREFIX } from './catalog/presets.ts';
import { isUnsafeIssuer } from './codec.ts';
import type { Problem } from './fault.ts';

/** Settings as far as they could be parsed: what is wrong by itself is absent here. */
type Parsed<C extends CommandName> = Partial<CommandSettings<C>>;

export const HTTPS_URL = 'an https URL; http on loopback';

/** Applied with an installation they would get its Pod Security, and with its removal they would be deleted. */
const SHARED_NAMESPACES = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

/** Settings that are right by themselves and wrong together, by command. */
export const checks: { readonly [C in CommandName]?: (settings: Parsed<C>) => Problem[] } = {
  discovery({ tlsCert, tlsKey }) {
    if ((tlsCert === undefined) === (tlsKey === undefined)) return [];
    const key = tlsCert === undefined ? '--tls-cert' : '--tls-key';
    const accepted = 'both or none of --tls-cert and --tls-key';
    return [{ object: 'podpass discovery', key, wrong: 'is missing', accepted }];
  },
  publish({ to = [], output }) {
    if (to.length > 0 || output !== 'none') return [];
    const accepted = 'at least one place to write to, or -o for something to print';
    return [{ object: 'podpass publish', key: '--to', wrong: 'is missing', accepted }];
  },
  webhook(settings) {
    const { tlsMode, tlsCaLifetime, tlsCertLifetime } = settings;
    const problems = samePrefixes('podpass webhook', settings);
    if (tlsMode !== 'managed' || tlsCaLifetime === undefined || tlsCertLifetime === undefined) return problems;
    if (tlsCaLifetime >= 3 * tlsCertLifetime) return problems;
    const wrong = 'is less than three times --tls-cert-lifetime';
    // What is left of a CA when it is renewed is then enough for a whole certificate.
    const accepted = `at least ${3 * tlsCertLifetime}s`;
    const value = `${tlsCaLifetime}s`;
    return [...problems, { object: 'podpass webhook', key: '--tls-ca-lifetime', value, wrong, accepted }];
  },
  mutate: (settings) => samePrefixes('podpass mutate', settings),
  verify({ issuer }) {
    if (issuer === undefined || !isUnsafeIssuer(issuer)) return [];
    return [{ object: 'podpass verify', key: '--issuer', value: issuer, wrong: 'is not https', accepted: HTTPS_URL }];
  },
  manifests({ namespace, issuer }) {
    const object = 'podpass manifests';
    const problems: Problem[] = [];
    if (namespace !== undefined && SHARED_NAMESPACES.includes(namespace)) {
      const accepted = 'a namespace of its own, as the Namespace is one of the objects';
      problems.push({ object, key: '--namespace', value: namespace, wrong: 'belongs to the cluster', accepted });
    }
    if (issuer !== undefined && isUnsafeIssuer(issuer))
      problems.push({ object, key: '--issuer', value: issuer, wrong: 'is not https', accepted: HTTPS_URL });
    return problems;
  },
  doctor({ issuer, kubeconfig }) {
    if (issuer !== undefined || kubeconfig !== undefined) return [];
    const accepted = 'an issuer to look at from outside, or a cluster (--kubeconfig), or both';
    return [{ object: 'podpass doctor', key: '--issuer', wrong: 'is missing', accepted }];
  },
  jwks({ keys = [], kubeconfig }) {
    if (keys.length === 0 || kubeconfig === undefined) return [];
    const wrong = 'stands beside --keys';
    return [{ object: 'podpass jwks', key: '--kubeconfig', value: kubeconfig, wrong, accepted: 'one of the two' }];
  },
};

/** Two rules for one key would be read from one annotation, `skip-containers` for one. */
function samePrefixes(object: string, settings: Parsed<'mutate'>): Problem[] {
  const { annotationPrefix, awsAnnotationPrefix, gcpAnnotationPrefix, presets = [] } = settings;
  const prefixes = [
    ['--annotation-prefix', annotationPrefix],
    ...(presets.includes('azure') ? [['azure', AZURE_PREFIX]] : []),
    ...(presets.includes('aws') ? [['--aws-annotation-prefix', awsAnnotationPrefix]] : []),
    ...(presets.includes('gcp') ? [['--gcp-annotation-prefix', gcpAnnotationPrefix]] : []),
  ] as const;
  return prefixes.flatMap(([key = '', value], index) => {
    const other = prefixes.slice(0, index).find((earlier) => value !== undefined && earlier[1] === value);
    if (other === undefined || value === undefined) return [];
    return [{ object, key, value, wrong: `is the prefix of ${other[0]} too`, accepted: 'a prefix of its own' }];
  });
}
