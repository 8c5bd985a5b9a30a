import { describe, expect, test } from 'vitest';
import { Fault } from '../../src/fault.ts';
import { writeReview } from '../../webhook/admission-review.ts';
import { parseReview } from '../parse-review.ts';

const UID = '705ab4f5-6393-11e8-b7cc-42010a800002';
const review = (request: unknown, more: object = {}) =>
  Buffer.from(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request, ...more }));

function faultOf(body: Buffer): Fault {
  try {
    parseReview(body);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error('the review was taken');
}

test('the request of a review is read, and members that are newer are no matter', () => {
  const object = {
    metadata: { annotations: { 'podpass.dev/a': 'b' }, novelty: 1 },
    spec: { novelty: [] },
    novelty: {},
  };
  const read = parseReview(review({ uid: UID, operation: 'CREATE', object, novelty: true }, { novelty: true }));
  expect(read).toEqual({
    uid: UID,
    operation: 'CREATE',
    object: { metadata: { annotations: { 'podpass.dev/a': 'b' } }, spec: {} },
  });
});

test('white space around it is fine, and __proto__ is a key as any other', () => {
  const request = parseReview(
    Buffer.from(`\n ${review({ uid: UID }).toString().replace('"uid"', '"__proto__":{"dryRun":true},"uid"')}\n`),
  );
  expect(request.uid).toBe(UID);
  expect(Object.getPrototypeOf(request)).toBe(Object.prototype);
});

test.each([
  ['empty', Buffer.alloc(0), 'empty'],
  ['white space', Buffer.from(' \n'), 'JSON'],
  ['not JSON', Buffer.from('{"apiVersion": secret'), 'JSON'],
  ['JSON with more behind it', Buffer.concat([review({ uid: UID }), Buffer.from('{}')]), 'JSON'],
  ['with a byte order mark', Buffer.concat([Buffer.from('\ufeff'), review({ uid: UID })]), 'JSON'],
  ['invalid UTF-8', Buffer.concat([Buffer.from('"'), Buffer.from([0xc3, 0x28]), Buffer.from('"')]), 'UTF-8'],
  ['UTF-16', Buffer.from('{}', 'utf16le'), 'AdmissionReview|JSON'],
  ['null', Buffer.from('null'), 'AdmissionReview'],
  ['a list', Buffer.from('[]'), 'AdmissionReview'],
  ['another kind', review({ uid: UID }, { kind: 'TokenReview' }), 'AdmissionReview'],
  ['a v1beta1 review', review({ uid: UID }, { apiVersion: 'admission.k8s.io/v1beta1' }), 'admission.k8s.io/v1'],
  ['a null request', review(null), 'request'],
  ['no request', review(undefined), 'request'],
  ['a request that is a list', review([]), 'request'],
  ['a request without uid', review({}), 'uid'],
  ['a request with an empty uid', review({ uid: '' }), 'uid'],
  ['a request whose uid is no text', review({ uid: 1 }), 'uid'],
])('a body that is %s is 400 and says why, without quoting it', (_, body, why) => {
  const fault = faultOf(body);
  expect(fault).toMatchObject({ code: 'bad_request', status: 400 });
  expect(fault.message).toMatch(new RegExp(why));
  expect(`${fault.message} ${fault.cause ?? ''}`).not.toMatch(/secret|TokenReview|v1beta1/);
});

test('of a key twice the last one counts, as for the API server', () => {
  const body = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"a"},"request":{"uid":"${UID}"}}`;
  expect(parseReview(Buffer.from(body)).uid).toBe(UID);
});

describe('the answer', () => {
  const answer = (response: Parameters<typeof writeReview>[1]) => JSON.parse(writeReview({ uid: UID }, response));
  const shell = (response: object) => ({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: { uid: UID, ...response },
  });

  test('has no patch where nothing changes, as the API server refuses one of patch and patchType alone', () => {
    expect(answer({ allowed: true })).toEqual(shell({ allowed: true }));
    expect(answer({ allowed: true, patch: [], warnings: [] })).toEqual(shell({ allowed: true }));
  });

  test('carries the patch in base64, warnings and audit annotations', () => {
    const patch = [{ op: 'add', path: '/spec/volumes', value: ['ü'] }] as const;
    const { response } = answer({ allowed: true, patch, warnings: ['w'], auditAnnotations: { tokens: '{}' } });
    expect(response).toEqual({
      uid: UID,
      allowed: true,
      patchType: 'JSONPatch',
      patch: expect.any(String),
      warnings: ['w'],
      auditAnnotations: { tokens: '{}' },
    });
    expect(JSON.parse(Buffer.from(response.patch, 'base64').toString())).toEqual(patch);
  });

  test('to a mistake is not allowed, with code 422 and the message', () => {
    expect(answer({ allowed: false, message: 'no', warnings: ['w'] })).toEqual(
      shell({
        allowed: false,
        status: expect.objectContaining({ status: 'Failure', code: 422, message: 'no' }),
        warnings: ['w'],
      }),
    );
  });
});

test('a large body of very many values is refused before it is parsed', () => {
  const body = Buffer.from(`{"x":[${'{},'.repeat(800_001)}0]}`);
  expect(() => parseReview(body)).toThrow('the body has over 1600000 values');
  // Those in texts are none, however the texts end.
  const text = JSON.stringify({
    ...JSON.parse(review({ uid: UID }).toString()),
    x: ['\\', '\\"', '[{,'.repeat(1_000_000)],
  });
  expect(parseReview(Buffer.from(text)).uid).toBe(UID);
  const keys = Buffer.from(
    JSON.stringify(Object.fromEntries(Array.from({ length: 400_001 }, (_, i) => [`key${i}`, 0]))),
  );
  expect(() => parseReview(keys)).toThrow('the body has over 400000 keys');
});

test('an uid is as long as one, as it is logged', () => {
  const request = { uid: 'u'.repeat(129) };
  const body = Buffer.from(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request }));
  expect(() => parseReview(body)).toThrow('the uid of the request is over 128 characters');
});
