// What a server costs that does less: `node floor.mjs KIND CERT KEY`. It answers what the bench tells it to.
//   echo     reads the body and answers bytes that were ready before
//   uid      the same, with the uid of the review, which the API server compares
//   parse    parses the whole review and answers with a patch that it writes anew
//   express  the same by Express
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { answers } from './probe.mjs';

const [kind, certFile, keyFile] = process.argv.slice(2);
const tls = { cert: readFileSync(certFile), key: readFileSync(keyFile) };

/** The answer's bytes and type, and its parts, of which the kinds that parse make one for each review. */
let use = { bytes: Buffer.alloc(0), type: 'application/json', patch: undefined, auditAnnotations: undefined };
answers.use = ({ bytes, ...rest }) => {
  use = { ...rest, bytes: Buffer.from(bytes, 'base64') };
};

const UUID_LENGTH = 36;

const review = ({ request }) => ({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  response: {
    uid: request.uid,
    allowed: true,
    ...(use.patch && { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(use.patch)).toString('base64') }),
    ...(use.auditAnnotations && { auditAnnotations: use.auditAnnotations }),
  },
});

const handlers = {
  echo: (request, response) => {
    request.resume().on('end', () => send(response, use.bytes));
  },
  uid: (request, response) => {
    whole(request, (body) => {
      // The first member of a review's request.
      const at = body.indexOf('"uid":"') + '"uid":"'.length;
      body.copy(use.bytes, use.bytes.indexOf('"uid":"') + '"uid":"'.length, at, at + UUID_LENGTH);
      send(response, use.bytes);
    });
  },
  parse: (request, response) => {
    whole(request, (body) => send(response, Buffer.from(JSON.stringify(review(JSON.parse(body.toString()))))));
  },
  express: async () => {
    const { default: express } = await import('express');
    const app = express();
    app.post('/mutate', express.json({ limit: '20mb' }), (request, response) => {
      response.json(review(request.body));
    });
    return app;
  },
};

function whole(request, use) {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk)).on('end', () => use(Buffer.concat(chunks)));
}

function send(response, bytes) {
  response.writeHead(200, { 'Content-Type': use.type, 'Content-Length': bytes.length });
  response.end(bytes);
}

const server = createServer(tls, kind === 'express' ? await handlers.express() : handlers[kind]);
server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ msg: 'listening', port: server.address().port })));
