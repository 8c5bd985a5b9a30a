/** An event as its author knows it: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/ */
export interface KubeEvent {
  readonly type: 'Normal' | 'Warning';
  /** What was done, and what came of it; both in UpperCamelCase, for machines. */
  readonly action: string;
  readonly reason: string;
  /** For people; what is over 1 KiB is cut off. */
  readonly note: string;
  readonly regarding: {
    readonly apiVersion: string;
    readonly kind: string;
    readonly namespace: string;
    readonly name: string;
    /** Without it the object is read once, and there is no event where it does not exist. */
    readonly uid?: string;
  };
}
