import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseDocument } from 'yaml';
import { certificate } from '../../src/cli/manifests/certificate.ts';
import type { KubeObject } from '../../src/cli/manifests/object.ts';
import { idOf } from '../../src/cli/manifests/text.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { downloadedModule } from './downloaded-module.ts';
import { until } from './podpass.ts';
import { clusterBinaries, describeCluster } from './suite.ts';

const MODULE = 'github.com/cert-manager/cert-manager';

/** cert-manager's own CRDs, of the version in test/go/cert-manager. */
async function customResourceDefinitions(): Promise<KubeObject[]> {
  const crds = join(await downloadedModule('cert-manager', MODULE), 'deploy/crds');
  const files = (await readdir(crds)).filter((name) => name.endsWith('.yaml'));
  const objects = await Promise.all(
    files.map(async (name) => parseDocument(await readFile(join(crds, name), 'utf8')).toJS() as KubeObject),
  );
  return objects.filter(({ kind }) => kind === 'CustomResourceDefinition');
}

describeCluster('the objects for cert-manager, against its own CRDs', () => {
  const NAMESPACE = 'own';
  const objects = certificate({ namespace: NAMESPACE, image: 'podpass:1', tls: 'cert-manager' });
  let cluster: ControlPlane;

  const apply = ({ apiVersion, kind, metadata, ...rest }: KubeObject) =>
    cluster.request(
      'PATCH',
      `/apis/${apiVersion}/namespaces/${NAMESPACE}/${kind.toLowerCase()}s/${metadata.name}?fieldManager=test&fieldValidation=Strict`,
      { apiVersion, kind, metadata, ...rest },
      { contentType: 'application/apply-patch+yaml' },
    );

  beforeAll(async () => {
    const crds = await customResourceDefinitions();
    expect(crds.map(({ metadata }) => metadata.name)).toEqual(
      expect.arrayContaining(['certificates.cert-manager.io', 'issuers.cert-manager.io']),
    );
    cluster = await startControlPlane({ binaries: clusterBinaries() });
    await cluster.createNamespace(NAMESPACE);
    for (const crd of crds)
      await cluster.expect('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', crd);
    for (const kind of ['certificates', 'issuers']) {
      const path = `/apis/cert-manager.io/v1/namespaces/${NAMESPACE}/${kind}`;
      await until(`the API of ${kind}`, async () => (await cluster.request('GET', path)).status === 200);
    }
  });
  afterAll(() => cluster?.stop());

  it.each(objects.map((object) => [idOf(object), object] as const))('accepts %s, strictly', async (_, object) => {
    const { status, warnings, body } = await apply(object);
    expect(status, JSON.stringify(body)).toBe(201);
    expect(warnings).toEqual([]);
  });

  it('would not accept a field that it does not know, or a value that is not one', async () => {
    const [wanted] = objects.filter(({ kind }) => kind === 'Certificate') as (KubeObject & { spec: object })[];
    if (wanted === undefined) throw new Error('there is no Certificate');
    for (const [wrong, said] of [
      [{ durations: '1h' }, '.spec.durations: field not declared in schema'],
      [{ privateKey: { algorithm: 'EC' } }, 'spec.privateKey.algorithm: Unsupported value: \\"EC\\"'],
      [{ secretName: 1 }, 'spec.secretName'],
    ] as const) {
      const metadata = { ...wanted.metadata, name: 'wrong' };
      const { status, body } = await apply({ ...wanted, metadata, spec: { ...wanted.spec, ...wrong } });
      expect(status).toBeGreaterThanOrEqual(400);
      expect(JSON.stringify(body)).toContain(said);
    }
  });
});
