import { get } from 'node:https';
import { requestTo } from './request.ts';
import type { Scene } from './scene.ts';

/** A browser's way through the login; the last answer, and the session in it, empty where there is none. */
export async function logIn(
  port: number,
  { ca }: Pick<Scene, 'ca'>,
  path = '/orders',
): Promise<{ readonly status: number; readonly location: string; readonly cookie: string }> {
  const first = await requestTo(port, path);
  if (first.status !== 302) throw new Error(`${path} is answered ${first.status}, and not with the way to the login`);
  const csrf = cookiesOf(first.headers['set-cookie']);
  const back = new URL(await locationOf(first.headers.location ?? '', ca));
  const last = await requestTo(port, back.pathname + back.search, { Cookie: csrf });
  const cookie = cookiesOf((last.headers['set-cookie'] ?? []).filter((each) => /^_oauth2_proxy=[^;]/.test(each)));
  return { status: last.status, location: last.headers.location ?? '', cookie };
}

function cookiesOf(headers: readonly string[] = []): string {
  return headers.map((each) => each.split(';')[0]).join('; ');
}

function locationOf(url: string, ca: string): Promise<string> {
  return new Promise((fulfil, reject) => {
    get(url, { ca, agent: false }, (incoming) => {
      incoming.resume();
      if (incoming.headers.location === undefined) reject(new Error(`${url}: ${incoming.statusCode}`));
      else fulfil(incoming.headers.location);
    }).on('error', reject);
  });
}
