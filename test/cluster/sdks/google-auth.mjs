// What a container's program does with Google's auth library for Node: nothing is configured but by the environment.
//
//   node google-auth.mjs FOLDER
//
// FOLDER has the node_modules. One JSON object on standard output.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const { GoogleAuth } = createRequire(join(process.argv[2], 'package.json'))('google-auth-library');

const auth = new GoogleAuth({ scopes: 'https://www.googleapis.com/auth/devstorage.read_only' });
const said = await auth.getAccessToken().then(
  (token) => ({ ok: true, token }),
  ({ name, message }) => ({ ok: false, error: `${name}: ${message}` }),
);
console.log(JSON.stringify(said));
