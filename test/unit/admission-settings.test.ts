import { expect, test } from 'vitest';
import { parseSettings } from '../../src/settings.ts';
import { admissionSettings } from '../../webhook/admission-settings.ts';

test('what is found comes on top of what is configured, and nothing is made anew for each request', () => {
  const argv = ['--kubeconfig=/k', '--tls-cert=/c', '--tls-key=/k', '--reserved-audiences=mine'];
  const parsed = parseSettings('webhook', { argv, env: {}, readFile: () => '' });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const settings = admissionSettings(parsed.settings, []);
  expect(settings.now()).toMatchObject({
    annotationPrefix: 'podpass.dev',
    tokenExpiration: 3600,
    ephemeralContainers: false,
  });
  expect([...settings.now().reservedAudiences]).toEqual(['mine']);
  expect(settings.now()).toBe(settings.now());

  settings.tellReserved(new Set(['https://issuer.example.com']));
  settings.tellCluster({ issuer: 'https://issuer.example.com', minor: 34 });
  expect([...settings.now().reservedAudiences]).toEqual(['mine', 'https://issuer.example.com']);
  expect(settings.now().oauth2Proxy).toMatchObject({ issuer: 'https://issuer.example.com', minor: 34 });

  const before = settings.now();
  settings.tellChanged();
  expect(settings.now()).not.toBe(before);
  expect(settings.now()).toEqual(before);
});
