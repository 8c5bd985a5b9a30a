import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import type { Log } from '../../src/log.ts';
import type { AdmissionRequest } from '../../webhook/admission-review.ts';
import { type Admission, type AdmissionSettings, admit } from '../../webhook/admit.ts';
import { createWebhookApp } from '../../webhook/app.ts';
import { createReviewer } from '../../webhook/reviewer.ts';
import { type ServiceAccountSource, ServiceAccountUnavailable } from '../../webhook/service-accounts.ts';
import { mutationSettings } from '../mutation-settings.ts';

export const SETTINGS: AdmissionSettings = {
  ...mutationSettings({
    presets: 'aws,azure,gcp',
    azureTenantId: 'tenant',
    reservedAudiences: 'apiserver',
    oauth2ProxyIssuer: 'https://issuer.example.com',
  }),
  ephemeralContainers: true,
};

const CLOUDS = {
  'eks.amazonaws.com/role-arn': 'arn:aws:iam::111122223333:role/r',
  'azure.workload.identity/client-id': 'client',
  'cloud.google.com/workload-identity-provider': 'projects/1/locations/global/workloadIdentityPools/p/providers/c',
  'cloud.google.com/service-account-email': 'r@p.iam.gserviceaccount.com',
};

// The same objects each time, as in the cache, or no answer would be known.
const NONE = {};

/** Every ServiceAccount is there but `missing`; nobody can tell of `unreachable`. */
export const accounts: ServiceAccountSource = {
  async get(namespace, name) {
    if (name === 'missing') return { found: false, source: 'live' };
    if (name === 'unreachable') throw new ServiceAccountUnavailable(namespace, name, undefined);
    const annotations = name === 'cloud' ? CLOUDS : NONE;
    return { found: true, source: 'cache', serviceAccount: { namespace, name, annotations } };
  },
};

export const admitHere = (request: AdmissionRequest): Promise<Admission> => admit(request, accounts, SETTINGS);

/** One for all bodies, so that an answer that was kept of one meets all others. */
const review = createReviewer({ serviceAccounts: accounts, settings: () => SETTINGS });

export interface Answer {
  readonly status: number;
  readonly body: string;
  /** All that was logged, errors and what caused them included. */
  readonly logged: string;
}

/** Puts a body to the webhook's own handler, without sockets. */
export function answerTo(bytes: Buffer): Promise<Answer> {
  let logged = '';
  const note = (fields: object, message: string) => {
    logged += `${message} ${JSON.stringify(fields, (_, value: unknown) => (value instanceof Error ? `${value.stack} ${value.cause}` : value))}\n`;
  };
  const log: Log = { debug: note, info: note, warn: note, error: note };
  const headers = { 'content-type': 'application/json' };
  const request = Object.assign(Readable.from([bytes]), { method: 'POST', url: '/mutate', headers, complete: true });
  return new Promise((resolve) => {
    let answer: Omit<Answer, 'logged'>;
    let status = 0;
    const response = {
      writeHead(code: number) {
        status = code;
      },
      end(body: Buffer) {
        answer = { status, body: body.toString() };
      },
      destroy() {
        answer = { status: 0, body: '' };
        resolve({ ...answer, logged });
      },
    };
    // It is called last, when all is logged.
    const onAdmission = () => resolve({ ...answer, logged });
    const app = createWebhookApp({ review, onAdmission, log });
    app(request as unknown as IncomingMessage, response as unknown as ServerResponse);
  });
}
