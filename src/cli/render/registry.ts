import type { ConsumerName, FormatName } from '../../catalog/consumers.ts';
import { aws } from './consumers/aws.ts';
import { nginx } from './consumers/nginx.ts';
import { prometheus } from './consumers/prometheus.ts';
import { vault } from './consumers/vault.ts';
import type { Body, Facts } from './facts.ts';

/** What one consumer writes, by format. Pure. */
export type Consumer<C extends ConsumerName> = { readonly [F in FormatName<C>]: (facts: Facts) => Body };

/** One for each row of the catalog. */
export const consumers: { readonly [C in ConsumerName]: Consumer<C> } = { nginx, vault, aws, prometheus };
