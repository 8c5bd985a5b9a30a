import { expect, test } from 'vitest';
import { mermaidProblems } from '../mermaid.ts';

const FLOW = 'flowchart LR\n  subgraph X["a b"]\n    A["a"]\n  end\n  A -->|"x, y: z"| B["b"]\n  B -.->|"w"| A\n';
const SEQUENCE =
  'sequenceDiagram\n  participant A as one, two\n  participant B as b\n  A->>B: GET /a\n  B-->>A: 200\n  Note over A,B: so\n';

test('pictures that can be drawn are taken', () => {
  expect([mermaidProblems(FLOW), mermaidProblems(SEQUENCE)]).toEqual([[], []]);
});

test.each([
  ['another kind', 'graph LR\n  A["a"]\n', 'line 1'],
  ['a label without quotes', FLOW.replace('"b"', 'b (c)'), 'line 5'],
  ['an edge without a label', FLOW.replace('|"w"|', ''), 'line 6'],
  ['another arrow', FLOW.replace('-.->', '->'), 'line 6'],
  ['a node without a label', FLOW.replace('| A', '| C'), 'C has no label'],
  ['a node with two', FLOW.replace('| A', '| A["c"]'), 'A has a label already'],
  ['a subgraph without an end', FLOW.replace('  end\n', ''), 'has no end'],
  ['an end too many', `${FLOW}end\n`, '"end" of nothing'],
  ['a node that is called end', FLOW.replace('A["a"]', 'end["a"]'), 'line 3'],
  ['an entity', FLOW.replace('x, y', '#35;'), 'line 5'],
  ['no edge', 'flowchart LR\n  A["a"]\n', 'no edge'],
  ['somebody who takes no part', SEQUENCE.replace('B-->>A', 'C-->>A'), 'C is no participant'],
  ['a message without text', SEQUENCE.replace(': GET /a', ''), 'line 4'],
  ['two statements in a line', SEQUENCE.replace('GET /a', 'GET; /a'), 'line 4'],
  ['another arrow of a message', SEQUENCE.replace('A->>B', 'A-)B'), 'line 4'],
  ['no message', 'sequenceDiagram\n  participant A as a\n', 'no message'],
])('%s is refused', (_, picture, problem) => {
  expect(mermaidProblems(picture).join('\n')).toContain(problem);
});
