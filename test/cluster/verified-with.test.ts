import { beforeAll, expect, it } from 'vitest';
import { pinnedVersion, verifiedWith } from '../verified-with.ts';
import { runProgram } from './podpass.ts';
import { clusterBinaries, describeCluster } from './suite.ts';
import { type VerifierName, Verifiers, verifierNames } from './verifiers.ts';

describeCluster("the README's table of verifiers", () => {
  let verifiers: Verifiers;
  beforeAll(async () => {
    verifiers = await Verifiers.open();
  }, 300_000);

  const rowOf = (name: string) => {
    const row = verifiedWith.find((each) => each.name === name);
    if (row === undefined) throw new Error(`no row for ${name}`);
    return row;
  };

  it.for(verifierNames)('has the version of %s that says so itself', async (name: VerifierName, context) => {
    expect(await verifiers.get(name, context).version()).toBe(pinnedVersion(rowOf(name)));
  });

  it('has the version of MinIO that was built', async () => {
    // It calls itself a development version; Go knows better.
    const { PATH = '', HOME = '' } = process.env;
    const built = await runProgram('go', ['version', '-m', clusterBinaries().minio], { env: { PATH, HOME } });
    expect(built.stdout).toMatch(/^\tmod\tgithub\.com\/minio\/minio\t/m);
    expect(built.stdout.match(/^\tmod\tgithub\.com\/minio\/minio\tv(\S+)/m)?.[1]).toBe(pinnedVersion(rowOf('MinIO')));
  });

  it('has nothing else but Keycloak, which tells its version where it runs', () => {
    expect(verifiedWith.map(({ name }) => name).sort()).toEqual([...verifierNames, 'MinIO', 'Keycloak'].sort());
  });
});
