/**
 * Checks pictures of the documentation: the two kinds of Mermaid that it has, in the few forms that it uses. Mermaid's own
 * parser of these kinds needs a browser's DOM, and 100 packages. What is refused here may still be Mermaid; what is taken
 * is, by the grammars in mermaid/packages/mermaid/src/diagrams (flowchart and sequence).
 */

/** A word that no grammar knows as its own: "end" closes a block wherever it stands. */
const ID = '(?!end\\b)[A-Za-z][A-Za-z0-9]*';
/** In quotes. No "#", which begins an entity, and nothing that is HTML. */
const LABEL = '"[^"#<>`]+"';
const NODE = `(${ID})(?:\\[(${LABEL})\\])?`;

/** What is wrong with a picture, a sentence for each line of it; nothing where it can be drawn. */
export function mermaidProblems(picture: string): string[] {
  const [first = '', ...lines] = picture.trimEnd().split('\n');
  const body = lines.map((line, index) => ({ line: line.trim(), at: index + 2 })).filter(({ line }) => line !== '');
  if (/^flowchart (LR|TB)$/.test(first)) return flowchart(body);
  if (first === 'sequenceDiagram') return sequence(body);
  return [`line 1: ${first}: neither "flowchart LR", "flowchart TB" nor "sequenceDiagram"`];
}

type Lines = readonly { readonly line: string; readonly at: number }[];

function flowchart(lines: Lines): string[] {
  const problems: string[] = [];
  const labelled = new Set<string>();
  const used = new Map<string, number>();
  let open = 0;
  let edges = 0;
  const node = (id = '', label: string | undefined, at: number) => {
    if (label === undefined) used.set(id, at);
    else if (labelled.has(id)) problems.push(`line ${at}: ${id} has a label already`);
    else labelled.add(id);
  };
  for (const { line, at } of lines) {
    const subgraph = line.match(new RegExp(`^subgraph (${ID})\\[${LABEL}\\]$`));
    const edge = line.match(new RegExp(`^${NODE} (?:-->|-\\.->)\\|${LABEL}\\| ${NODE}$`));
    const alone = line.match(new RegExp(`^${NODE}$`));
    if (subgraph) {
      node(subgraph[1], '', at);
      open++;
    } else if (line === 'end') {
      if (--open < 0) problems.push(`line ${at}: "end" of nothing`);
    } else if (edge) {
      edges++;
      node(edge[1], edge[2], at);
      node(edge[3], edge[4], at);
    } else if (alone?.[2] !== undefined) node(alone[1], alone[2], at);
    else problems.push(`line ${at}: ${line}: neither a node with a label, an edge with one, a subgraph nor its end`);
  }
  if (open > 0) problems.push('a subgraph has no end');
  if (edges === 0) problems.push('there is no edge');
  for (const [id, at] of used) if (!labelled.has(id)) problems.push(`line ${at}: ${id} has no label anywhere`);
  return problems;
}

function sequence(lines: Lines): string[] {
  const problems: string[] = [];
  const participants = new Set<string>();
  let messages = 0;
  /** A ";" ends a statement, and "#" begins an entity. */
  const text = '[^;#<>]+';
  for (const { line, at } of lines) {
    const participant = line.match(new RegExp(`^participant (${ID}) as ${text}$`));
    const message = line.match(new RegExp(`^(${ID})--?>>(${ID}): ${text}$`));
    const note = line.match(new RegExp(`^Note over (${ID})(?:,(${ID}))?: ${text}$`));
    const known = [...(message ?? []), ...(note ?? [])].slice(1).filter((id) => id !== undefined);
    if (participant) {
      if (participants.has(participant[1] ?? '')) problems.push(`line ${at}: ${participant[1]} is there already`);
      participants.add(participant[1] ?? '');
    } else if (message || note) {
      if (message) messages++;
      for (const id of known) if (!participants.has(id)) problems.push(`line ${at}: ${id} is no participant`);
    } else problems.push(`line ${at}: ${line}: neither a participant, a message nor a note`);
  }
  if (messages === 0) problems.push('there is no message');
  return problems;
}
