/** The bytes of a request, with the headers that an API server or a verifier sends. */
export function requestBytes(
  method: 'GET' | 'POST',
  path: string,
  { host = 'localhost', headers = {}, body }: { host?: string; headers?: Record<string, string>; body?: Buffer } = {},
): Buffer {
  const all = {
    Host: host,
    'User-Agent': 'podpass-bench',
    ...(body === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': String(body.length) }),
    Accept: 'application/json, */*',
    ...headers,
  };
  const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`${method} ${path} HTTP/1.1\r\n${head.join('')}\r\n`), body ?? Buffer.alloc(0)]);
}
