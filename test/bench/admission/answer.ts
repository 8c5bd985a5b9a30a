import type { FloorAnswer } from '../servers/floor.ts';

export interface ReadAnswer {
  readonly answer: FloorAnswer;
  readonly hasPatch: boolean;
}

/** The answer to a review, with the parts that a server writes anew. Throws for one that is no consent. */
export function readAnswer({ status, body }: { readonly status: number; readonly body: Buffer }): ReadAnswer {
  if (status !== 200) throw new Error(`a review was answered with ${status}: ${body}`);
  const { response } = JSON.parse(body.toString());
  if (response.allowed !== true) throw new Error(`a review was refused: ${body}`);
  const patch = response.patch && JSON.parse(Buffer.from(response.patch, 'base64').toString());
  const { auditAnnotations } = response;
  return { answer: { bytes: body, type: 'application/json', patch, auditAnnotations }, hasPatch: Boolean(patch) };
}
