/** Mutating webhooks of others, which the API server calls after ours. */
import type { ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import type { ControlPlane, KubeObject, Webhook } from './control-plane.ts';
import { testCa } from './podpass.ts';

interface Review {
  request: { uid: string; object: KubeObject };
}

export const reviewAnswer = (response: object) => ({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  response,
});

/** A webhook for Pods with its label `changed-by`, which answers by itself; its name must come after ours. */
export async function answering(
  cluster: ControlPlane,
  name: string,
  answer: (request: Review['request'], response: ServerResponse) => void,
  options: Partial<Webhook> = {},
): Promise<Server> {
  const server = createServer(testCa().issue(), (request, response) => {
    response.setHeader('content-type', 'application/json');
    void json(request).then((body) => answer((body as Review).request, response));
  });
  await new Promise<void>((fulfil) => server.listen(0, '127.0.0.1', fulfil));
  await cluster.registerWebhook({
    name,
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    caPem: testCa().pem,
    failurePolicy: 'Fail',
    objectSelector: { matchLabels: { 'changed-by': name } },
    ...options,
  });
  return server;
}

/** One that answers with this JSON Patch. */
export function otherWebhook(
  cluster: ControlPlane,
  name: string,
  patch: (pod: KubeObject) => object[],
  options: Partial<Webhook> = {},
): Promise<Server> {
  return answering(
    cluster,
    name,
    ({ uid, object }, response) => {
      const encoded = Buffer.from(JSON.stringify(patch(object))).toString('base64');
      response.end(JSON.stringify(reviewAnswer({ uid, allowed: true, patchType: 'JSONPatch', patch: encoded })));
    },
    options,
  );
}
