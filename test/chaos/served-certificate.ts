import { connect } from 'node:tls';

export interface Served {
  readonly fingerprint256: string;
  /** Epoch milliseconds. */
  readonly notAfter: number;
  readonly issuer: string;
}

/** What a new connection to this port of the loopback is shown. Nothing is verified. */
export function servedCertificate(port: number): Promise<Served> {
  return new Promise((fulfil, reject) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      const certificate = socket.getPeerX509Certificate();
      socket.destroy();
      if (!certificate) return reject(new Error(`port ${port} shows no certificate`));
      const { fingerprint256, validTo, issuer } = certificate;
      fulfil({ fingerprint256, notAfter: Date.parse(validTo), issuer });
    });
    socket.setTimeout(10_000, () => socket.destroy(new Error(`port ${port} does not answer`)));
    socket.on('error', reject);
  });
}
