import { Failure } from '../../../fault.ts';
import { audiencesOf, needed, subjectsOf, tokenOf } from '../facts.ts';
import type { Consumer } from '../registry.ts';
import { hereDocument, shellWord } from '../syntax/shell.ts';

const checks = [
  'Tokens are signed with RS256 or ES256, and have a kid: podpass doctor --issuer ISSUER --target gcp.',
  'The attribute condition names the callers: without it every ServiceAccount of the issuer gets in, and every token of a shared issuer.',
];

/** A list of strings in the Common Expression Language, whose escapes those of JSON are a part of. */
const celList = (values: readonly string[]) => `[${values.map((value) => JSON.stringify(value)).join(', ')}]`;

export const gcp: Consumer<'gcp'> = {
  shell: (facts) => {
    const { project, location, pool, provider } = needed(facts, 'workloadIdentityProvider');
    const where = `--project=${project} --location=${location}`;
    const { keys, inlineKeys } = facts;
    const principal = `//iam.googleapis.com/projects/${project}/locations/${location}/workloadIdentityPools/${pool}`;
    const create = [
      `gcloud iam workload-identity-pools providers create-oidc ${provider} ${where} --workload-identity-pool=${pool}`,
      `--issuer-uri=${shellWord(facts.issuer)}`,
      // Another delimiter, as an audience may have commas: gcloud topic escaping.
      `--allowed-audiences=${shellWord(delimited(audiencesOf(facts)))}`,
      "--attribute-mapping='google.subject=assertion.sub'",
      `--attribute-condition=${shellWord(`assertion.sub in ${celList(subjectsOf(facts))}`)}`,
      ...(inlineKeys ? ['--jwk-json-path=jwks.json'] : []),
    ];
    return {
      text: [
        ...(inlineKeys ? [hereDocument('cat >jwks.json', keys?.jwks ?? '')] : []),
        `gcloud iam workload-identity-pools create ${pool} ${where}`,
        create.join(' \\\n  '),
        ...subjectsOf(facts).map((subject) => `# Grant roles to principal:${principal}/subject/${subject}`),
        '',
      ].join('\n'),
      checks: [
        ...checks,
        inlineKeys
          ? 'The keys are uploaded: upload them again before each rotation (podpass publish -o gcp-jwks).'
          : 'Both documents answer at the issuer to everybody on the internet; else upload the keys, with --inline-keys.',
      ],
    };
  },
  json: (facts) => {
    const { project, location, pool, provider } = needed(facts, 'workloadIdentityProvider');
    const name = `projects/${project}/locations/${location}/workloadIdentityPools/${pool}/providers/${provider}`;
    const credentials = {
      universe_domain: 'googleapis.com',
      type: 'external_account',
      audience: `//iam.googleapis.com/${name}`,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: 'https://sts.googleapis.com/v1/token',
      credential_source: { file: tokenOf(facts).file, format: { type: 'text' } },
    };
    return {
      text: `${JSON.stringify(credentials, undefined, 2)}\n`,
      checks: [
        'GOOGLE_APPLICATION_CREDENTIALS names this file; with the preset gcp the webhook writes it itself.',
        'The principal has roles of its own, or service_account_impersonation_url names a service account to act as.',
      ],
    };
  },
};

/** Items for gcloud, with the first delimiter between them that none of them has. */
function delimited(values: readonly string[]): string {
  if (values.length === 1 && !/^\^|,/.test(values[0] ?? '')) return values.join();
  const delimiter = [...',;|~#!'].find((each) => !values.some((value) => value.includes(each)));
  if (delimiter === undefined) throw new Failure('the audiences have every delimiter in them that gcloud could use');
  return `^${delimiter}^${values.join(delimiter)}`;
}
