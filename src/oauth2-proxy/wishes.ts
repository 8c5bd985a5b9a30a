/** What one oauth2-proxy is to do, whoever runs it. */
export interface ProxyWishes {
  /** Of the cluster's tokens, byte for byte. */
  readonly issuer: string;
  /** A caller's token has one of them. */
  readonly audiences: readonly string[];
  /**
   * Who may come in: every ServiceAccount of the issuer, or those whose `sub` is in a file, one in each line.
   * `hasPeople`: the file may have e-mail addresses as well.
   */
  readonly callers: '*' | { readonly file: string; readonly hasPeople: boolean };
  /** Browsers log in there; absent: machines only. */
  readonly people?: {
    /** Of their ID tokens, byte for byte. */
    readonly issuer: string;
    /** The parts after the `@`. */
    readonly emailDomains: readonly string[];
    /** As it is registered with their issuer; ends in /oauth2/callback. */
    readonly redirectUrl: string;
  };
  /** Where requests go then, an http URL without a path. */
  readonly upstream: string;
  /** Listens there on all addresses. */
  readonly port: number;
  /** Exact paths that anyone may GET. */
  readonly skipPaths: readonly string[];
  /** PEM certificates to trust for the issuer. */
  readonly caFile?: string;
}
