import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { Fault, faultBody, printable } from '../src/fault.ts';
import type { Log } from '../src/log.ts';
import type { AdmissionResult } from './admit.ts';
import { type BodyReader, createBodyReader, dropRest } from './body.ts';
import type { Reviewed, Reviewer } from './reviewer.ts';

export interface WebhookAppOptions {
  readonly review: Reviewer;
  /** Called once for each admission request, with the time it took. */
  readonly onAdmission: (result: AdmissionResult, seconds: number) => void;
  readonly log: Log;
  readonly bodies?: BodyReader;
}

/** `POST /mutate`, and a fault as `{"error": {"code", "message"}}` for everything else. */
export function createWebhookApp(options: WebhookAppOptions): RequestListener {
  const bodies = options.bodies ?? createBodyReader();
  return (request, response) => {
    answer(request, response, options, bodies).catch((error: unknown) => {
      options.log.error({ err: error }, 'the answer could not be written');
      response.destroy();
    });
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { review, onAdmission, log }: WebhookAppOptions,
  bodies: BodyReader,
): Promise<void> {
  const started = performance.now();
  let uid: string | undefined;
  let result: AdmissionResult = 'error';
  try {
    route(request);
    const reviewed = await bodies.read(request, (body) =>
      review(body, (known) => {
        uid = known;
      }),
    );
    result = reviewed.result;
    logAdmission(log, reviewed);
    send(response, 200, reviewed.answer);
  } catch (error) {
    const fault = error instanceof Fault ? error : new Fault('internal', 'an internal error', { cause: error });
    const fields = {
      code: fault.code,
      reason: fault.message,
      uid,
      ...(fault.cause === undefined ? {} : { err: fault.cause }),
    };
    if (fault.status >= 500) log.error(fields, 'request failed');
    else log.warn(fields, 'request refused');
    await dropRest(request);
    // Who still sends is not listened to any longer.
    const close = request.complete ? {} : { Connection: 'close' };
    send(response, fault.status, faultBody(fault), { ...fault.headers, ...close });
    // What is no admission request at all (a scan, a browser) is in the log, but not in the metrics of admission.
    if (fault.code === 'not_found' || fault.code === 'method_not_allowed') return;
  }
  onAdmission(result, (performance.now() - started) / 1000);
}

/** Throws a Fault for every request that is not `POST /mutate`; the API server adds `?timeout=…` to the path. */
function route({ method, url = '' }: IncomingMessage): void {
  if (url.split('?')[0] !== '/mutate') throw new Fault('not_found', 'only POST /mutate is here');
  if (method !== 'POST') {
    throw new Fault('method_not_allowed', 'only POST', { headers: { Allow: 'POST' } });
  }
}

/** Of a problem the log has only where it is: its value may be a token that was put into the wrong place. */
function logAdmission(log: Log, { uid, namespace, result, reason, problems }: Reviewed): void {
  const fields = { uid, namespace, result, reason };
  if (problems === undefined) log.debug(fields, 'admission');
  else
    log.info(
      {
        ...fields,
        problems: problems.slice(0, 20).map(({ object, key }) => ({ object: printable(object), key: printable(key) })),
      },
      'admission',
    );
}

function send(
  response: ServerResponse,
  status: number,
  body: string | Buffer,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, {
    ...headers,
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
  });
  // Of a text Node makes one write with the head.
  response.end(body);
}
