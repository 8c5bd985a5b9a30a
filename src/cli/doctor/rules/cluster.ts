import { quote } from '../../../fault.ts';
import { issuerDifference } from '../../../issuer-difference.ts';
import { keysOf, materialOf } from '../keys.ts';
import type { ClusterSeen, Jwk, Observation } from '../observation.ts';
import type { Rule, Sighting } from '../rule.ts';
import { readable, show } from './document.ts';

/** Rules for the cluster, and for what is public compared with it. */

function about(see: (cluster: ClusterSeen, observation: Observation) => string | false | undefined) {
  return (observation: Observation): readonly Sighting[] => {
    const { cluster } = observation;
    if (cluster === undefined) return [];
    const seen = see(cluster, observation);
    return seen ? [{ subject: `API server ${cluster.server}`, seen }] : [];
  };
}

/** The keys of all answers, the first of each kid. */
function clusterKeys({ answers }: ClusterSeen): ReadonlyMap<string, Jwk> {
  const all = answers.flatMap(({ keys = [] }) => keys);
  return new Map(all.toReversed().flatMap((key) => (typeof key.kid === 'string' ? [[key.kid, key] as const] : [])));
}

const publicKeys = ({ jwks }: Observation) => (readable(jwks) ? keysOf(jwks) : undefined);
const list = (kids: readonly string[]) => kids.slice(0, 10).map(quote).join(', ') + (kids.length > 10 ? ', …' : '');

export const clusterRules: readonly Rule[] = [
  {
    code: 'api-server-no-answer',
    severity: 'error',
    find: about(({ unreachable }) => unreachable),
    why: 'Nothing in the cluster could be checked.',
    next: 'Try "kubectl --kubeconfig FILE get --raw /version": it needs the same address and credential.',
  },
  {
    code: 'rights-missing',
    severity: 'warning',
    find: ({ cluster }) =>
      (cluster?.denied ?? []).map((right) => ({ subject: `API server ${cluster?.server}`, seen: `may not ${right}` })),
    why: 'What this would have told was left out, so there may be more to find.',
    next: 'Use the kubeconfig of somebody with this right, or give it for the time of the check.',
  },
  {
    code: 'cluster-documents',
    severity: 'error',
    find: about(({ answers }) => answers.map(({ fault }) => fault).find(Boolean)),
    why: 'podpass discovery reads the keys there. The API server serves neither document if its issuer is not an https URL, or if one of its key files has a key that it cannot publish.',
    next: 'Look in the log of the API server for "service account issuer discovery", then at --service-account-issuer and --service-account-key-file.',
  },
  {
    code: 'cluster-issuer-mismatch',
    severity: 'error',
    find: about(({ answers }, { issuer }) => {
      const other = answers.find(({ issuer: own }) => own !== undefined && own !== issuer)?.issuer;
      if (other === undefined) return false;
      const difference = issuer === undefined ? undefined : issuerDifference(other, issuer);
      const seen = `its tokens are from ${show(other)}, and the issuer asked for is ${show(issuer)}`;
      return difference === undefined ? seen : `${seen}: ${difference}`;
    }),
    why: 'Tokens have the first --service-account-issuer of the API server as their "iss". Verifiers of the other issuer refuse them.',
    next: 'Check --issuer. If the cluster moves to a new issuer, publish the documents of both until the tokens of the old one are gone.',
  },
  {
    code: 'api-servers-differ',
    severity: 'warning',
    find: about(({ answers }) => {
      const good = answers.filter(({ fault }) => fault === undefined);
      const states = good.map(({ issuer, keys = [] }) =>
        JSON.stringify([issuer, ...keys.map(({ kid }) => kid).sort()]),
      );
      const count = new Set(states).size;
      return count > 1 && `${good.length} questions had ${count} different answers`;
    }),
    why: 'API servers read their keys and their issuer at their start, so they differ while a change is rolled out. If it stays, one of them signs what others do not know.',
    next: 'Finish the roll-out; compare --service-account-issuer and --service-account-key-file of all API servers.',
  },
  {
    code: 'keys-missing',
    severity: 'error',
    find: about((cluster, observation) => {
      const kids = publicKeys(observation)?.map(({ kid }) => kid);
      const missing = [...clusterKeys(cluster).keys()].filter((kid) => kids !== undefined && !kids.includes(kid));
      return missing.length > 0 && `not published: ${list(missing)}`;
    }),
    why: 'Verifiers refuse tokens that such a key has signed, or will sign soon.',
    next: 'Look at the key source of podpass discovery (its log, podpass_key_source_last_success_timestamp_seconds) or publish again. Do not let the key sign before it is public.',
  },
  {
    code: 'keys-differ',
    severity: 'error',
    find: about((cluster, observation) => {
      const own = clusterKeys(cluster);
      const different = (publicKeys(observation) ?? []).flatMap((key) => {
        const same = typeof key.kid === 'string' ? own.get(key.kid) : undefined;
        return same !== undefined && materialOf(same) !== materialOf(key) ? [String(key.kid)] : [];
      });
      return different.length > 0 && `another value under the same kid: ${list(different)}`;
    }),
    why: 'Either two clusters publish to one place, or somebody has put in a key of their own. Then foreign tokens are taken for yours.',
    next: 'Find out who writes the JWK Set. Until that is known, treat the issuer as not to be trusted.',
  },
  {
    code: 'keys-extra',
    severity: 'info',
    find: about((cluster, observation) => {
      const own = clusterKeys(cluster);
      if (own.size === 0) return false;
      const kids = (publicKeys(observation) ?? []).flatMap(({ kid }) => (typeof kid === 'string' ? [kid] : []));
      const extra = kids.filter((kid) => !own.has(kid));
      return extra.length > 0 && `the cluster does not name: ${list(extra)}`;
    }),
    why: 'That is right for a while after a key was dropped, as its tokens still live. A key that nobody knows can sign for your issuer.',
    next: 'If it is none of your old keys, find out where it is from, and drop it with --revoke.',
  },
  {
    code: 'discovery-rights',
    severity: 'warning',
    find: about(
      ({ bound }) => bound === false && 'system:service-account-issuer-discovery is not bound to ServiceAccounts',
    ),
    why: 'podpass discovery and the webhook read the documents of the API server by this right, unless you gave them another one.',
    next: 'Restore the ClusterRoleBinding system:service-account-issuer-discovery; the API server makes it at its start unless it is marked otherwise.',
  },
  {
    code: 'api-server-anonymous',
    severity: 'info',
    find: about(({ anonymous }) => anonymous === 200 && 'the JWK Set is given without a credential'),
    why: 'Keys are public, so that does no harm by itself. With podpass discovery nobody outside needs to reach the API server.',
    next: 'Nothing, if that is meant. Else limit anonymous requests to the health checks (AuthenticationConfiguration, anonymous.conditions).',
  },
  {
    code: 'token-not-minted',
    severity: 'warning',
    find: about(({ notMinted }) => notMinted),
    why: 'Without a live token nobody can see whether the key that signs now is public.',
    next: 'Give a token of a Pod with --token -, or look at the reason.',
  },
  {
    code: 'token-shortened',
    severity: 'info',
    find: about(({ lifetime }) => {
      if (lifetime === undefined || lifetime.got >= lifetime.asked) return false;
      return `${lifetime.asked} s were asked for, and the token lives for ${lifetime.got} s`;
    }),
    why: '--service-account-max-token-expiration, or an external signer, shortens tokens silently. The kubelet renews them in time; a program that counts on a longer life fails.',
    next: 'Nothing, if programs read the token file anew. Else ask for no more than this.',
  },
];
