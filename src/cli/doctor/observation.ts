/** What was seen, without a judgement: the one input of the rules. It never holds a token or a signature. */
export interface Observation {
  /** Epoch milliseconds at which the checks began. */
  readonly now: number;
  /** The one asked for, else the cluster's own; absent where neither is known. */
  readonly issuer?: string | undefined;
  readonly document?: Fetched | undefined;
  /** Absent where the document names none, or one that was not asked. */
  readonly jwks?: Fetched | undefined;
  /** Addresses of the host of `jwks_uri`, also where it was not asked. */
  readonly jwksAddresses?: readonly string[] | undefined;
  readonly tokens: readonly TokenSeen[];
  /** Of this podpass. */
  readonly version?: string | undefined;
  readonly cluster?: ClusterSeen | undefined;
}

/** An exchange as an outsider has it: no credentials, no redirect followed, at most 1 MiB within 10 s. */
export interface Fetched {
  readonly url: string;
  readonly addresses: readonly string[];
  readonly failure?: Failed | undefined;
  readonly status?: number | undefined;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly bytes: number;
  /** From the request to the last byte. */
  readonly milliseconds: number;
  /** Date header, and the age of a cache's copy, minus the clock here; in milliseconds. */
  readonly skew?: number | undefined;
  /** The body, where it is a JSON object. */
  readonly json?: Readonly<Record<string, unknown>> | undefined;
  readonly tls?: TlsSeen | undefined;
  /** The same question a few times more, and as verifiers put it; absent where the first answer was not good. */
  readonly again?: readonly AnswerAgain[] | undefined;
}

/** One more answer at the same URL. */
export interface AnswerAgain {
  /** The header that was sent; absent: none was. */
  readonly accept?: string | undefined;
  readonly status?: number | undefined;
  readonly failure?: Failed | undefined;
  /** What counts in the document, to compare it with; absent where it is no JSON object, or compressed. */
  readonly content?: string | undefined;
}

export interface Failed {
  readonly kind: 'dns' | 'connection' | 'time' | 'tls' | 'size';
  readonly message: string;
}

export interface TlsSeen {
  /** What Node says of the chain with the trust that was asked for (an OpenSSL code); absent where it is good. */
  readonly fault?: string | undefined;
  /** Whether it is good without `--ca`. */
  readonly publicly: boolean;
  /** As the server sends them, its own first. */
  readonly chain: readonly CertificateSeen[];
}

/** Epoch milliseconds. */
export interface Lifetime {
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface CertificateSeen extends Lifetime {
  readonly subject: string;
  readonly issuer: string;
  /** 40 lower-case hex digits. */
  readonly sha1: string;
  /** Whether it is for the host that was asked for. */
  readonly forHost: boolean;
}

/** A token, decoded without trust; `signature` is what the published keys say. */
export interface TokenSeen {
  /** How to call it. */
  readonly name: string;
  readonly audience?: string | undefined;
  readonly length: number;
  /** Absent where it is no JWT. */
  readonly header?: Readonly<Record<string, unknown>> | undefined;
  readonly claims?: Readonly<Record<string, unknown>> | undefined;
  /** `unasked` where there was no JWK Set to ask. */
  readonly signature: 'good' | 'bad' | 'unknown-key' | 'algorithm' | 'unusable-key' | 'unasked';
}

export interface ClusterSeen {
  readonly server: string;
  /** Why nothing else is here. */
  readonly unreachable?: string | undefined;
  /** What the credential may not do, as a right: `get mutatingwebhookconfigurations/podpass`. */
  readonly denied: readonly string[];
  /** One for each time that the API server was asked, each on a connection of its own. */
  readonly answers: readonly ClusterAnswer[];
  readonly skew?: number | undefined;
  /** Whether ServiceAccounts may read the two documents by the binding that Kubernetes makes. */
  readonly bound?: boolean | undefined;
  /** The status for someone without a credential. */
  readonly anonymous?: number | undefined;
  /** Why there is no token, where one was asked for. */
  readonly notMinted?: string | undefined;
  /** Seconds. */
  readonly lifetime?: { readonly asked: number; readonly got: number } | undefined;
  readonly webhook?: WebhookSeen | undefined;
}

export interface ClusterAnswer {
  readonly fault?: string | undefined;
  readonly issuer?: string | undefined;
  readonly keys?: readonly Jwk[] | undefined;
}

export type Jwk = Readonly<Record<string, unknown>>;

/** What could be seen of the webhook; a part is absent where the credential may not look. */
export interface WebhookSeen {
  readonly namespace: string;
  /** Absent entries: there is no registration. */
  readonly entries?: readonly EntrySeen[] | undefined;
  readonly registered?: boolean | undefined;
  readonly policy?: boolean | undefined;
  readonly deployments: readonly DeploymentSeen[];
  readonly trial?: TrialSeen | undefined;
}

export interface EntrySeen {
  readonly name: string;
  readonly failurePolicy: string;
  /** Whether it leaves kube-system alone or is for labelled objects only. */
  readonly selective: boolean;
  readonly caBundle: 'missing' | 'unreadable' | 'readable';
  /** Of its CAs the last one to expire: old ones stay beside a new one for a while. */
  readonly lastCa?: Lifetime | undefined;
}

export interface DeploymentSeen {
  readonly name: string;
  readonly found: boolean;
  readonly wanted: number;
  readonly available: number;
  readonly image?: string | undefined;
}

/** A Pod that asks for a token, created as a dry run. */
export interface TrialSeen {
  readonly status: number;
  readonly injected: boolean;
  /** The API server's reason, where it refused. */
  readonly message: string;
}
