import type { Rule } from './rule.ts';
import { algorithmRules } from './rules/algorithms.ts';
import { answerRules } from './rules/answers.ts';
import { clusterRules } from './rules/cluster.ts';
import { documentRules } from './rules/document.ts';
import { issuerRules } from './rules/issuer.ts';
import { keyRules } from './rules/keys.ts';
import { repeatRules } from './rules/repeats.ts';
import { tlsRules } from './rules/tls.ts';
import { tokenRules } from './rules/tokens.ts';
import { webhookRules } from './rules/webhook.ts';

/** All rules, in the order in which their findings are told: first what others may follow from. */
export const rules: readonly Rule[] = [
  ...clusterRules,
  ...issuerRules,
  ...answerRules,
  ...repeatRules,
  ...tlsRules,
  ...documentRules,
  ...keyRules,
  ...algorithmRules,
  ...tokenRules,
  ...webhookRules,
];
