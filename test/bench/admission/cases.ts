/** Reviews to be answered, made of one that an API server has sent (review.json), and the ServiceAccounts behind them. */
import { readFileSync } from 'node:fs';
import type { Account } from '../../unit/service-accounts/protobuf-writer.ts';
import { COUNTED, type Templates } from './differences.ts';

interface Pod {
  metadata: { annotations: Record<string, string> };
  spec: { serviceAccountName: string; serviceAccount: string; containers: Container[] };
}

interface Container {
  name: string;
  args?: string[];
  env?: object[];
}

interface Review {
  request: { namespace: string; object: Pod };
}

export interface Case {
  readonly name: string;
  readonly account: Account;
  readonly body: Buffer;
  readonly templates: Templates;
  /** Whether the answer has a patch. */
  readonly patched: boolean;
}

const BIG = 100_000;

const recorded = readFileSync(new URL('review.json', import.meta.url), 'utf8');

interface Making {
  readonly ofAccount?: Record<string, string>;
  readonly ofPod?: Record<string, string>;
  readonly change?: (pod: Pod) => void;
  readonly templates?: Templates;
}

function make(name: string, { ofAccount = {}, ofPod = {}, change, templates = 'one template' }: Making): Case {
  const review = JSON.parse(recorded) as Review;
  const { namespace, object: pod } = review.request;
  const account = `app-${name.replace(/\W+/g, '-')}`;
  pod.spec.serviceAccountName = account;
  pod.spec.serviceAccount = account;
  Object.assign(pod.metadata.annotations, ofPod);
  change?.(pod);
  const patched = Object.keys({ ...ofAccount, ...ofPod }).length > 0;
  const body = Buffer.from(JSON.stringify(review));
  return { name, account: { namespace, name: account, annotations: ofAccount }, body, templates, patched };
}

const ONE = { 'podpass.dev/audiences': 'https://api.example.com' };

export const cases: readonly Case[] = [
  make('one token', { ofAccount: ONE }),
  make('several tokens', {
    ofAccount: { 'podpass.dev/audiences': 'https://api.example.com, vault', 'podpass.dev/expiration': '2h' },
    ofPod: {
      'podpass.dev/audience.db': 'https://db.example.com',
      'podpass.dev/containers.db': 'web, migrate',
      'podpass.dev/containers.vault': 'web',
      'podpass.dev/env.vault': 'VAULT_TOKEN_FILE',
      'podpass.dev/skip-containers': 'exporter',
    },
  }),
  make('nothing', {}),
  make('one token, many templates', { ofAccount: ONE, templates: 'many templates', change: run }),
  make('nothing, many templates', { templates: 'many templates', change: run }),
  make('one token, none alike', { ofAccount: ONE, templates: 'none alike', change: count }),
  make('nothing, none alike', { templates: 'none alike', change: count }),
  make('aws', { ofAccount: { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::111122223333:role/web' } }),
  make('big, one token', { ofAccount: ONE, change: grow }),
];

/** What is another one for each run of a job: nothing of it is podpass' business. */
function run({ metadata, spec }: Pod): void {
  const value = `run${COUNTED}`;
  metadata.annotations['jobs.example.com/run'] = value;
  const last = spec.containers.at(-1);
  if (last === undefined) return;
  last.args = ['--run', value];
  last.env = [...(last.env ?? []), { name: 'RUN', value }];
}

/** A container with a name that is another one each time. */
function count(pod: Pod): void {
  const last = pod.spec.containers.at(-1);
  if (last !== undefined) last.name += COUNTED;
}

/** Many containers like those that are there, as far as 100 KB. */
function grow(pod: Pod): void {
  const { containers } = pod.spec;
  const like = structuredClone(containers);
  for (let i = 0; JSON.stringify(pod).length < BIG; i++) {
    const next = structuredClone(like[i % like.length]);
    if (next !== undefined) containers.push({ ...next, name: `${next.name}-${i}` });
  }
}
