// What a container's program does with Azure Identity for JavaScript: nothing is configured but by the environment.
//
//   node azure-identity.mjs FOLDER workload|default [private]
//
// FOLDER has the node_modules. `private`: the authority is none of Microsoft's, so nobody there is asked about it; that
// cannot be said in the environment. One JSON object on standard output.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [folder, what, authority] = process.argv.slice(2);
const identity = createRequire(join(folder, 'package.json'))('@azure/identity');

const options = authority === 'private' ? { disableInstanceDiscovery: true } : {};
const credentials = { workload: identity.WorkloadIdentityCredential, default: identity.DefaultAzureCredential };
const said = await new credentials[what](options).getToken('https://vault.azure.net/.default').then(
  ({ token }) => ({ ok: true, token }),
  ({ name, message }) => ({ ok: false, error: `${name}: ${message}` }),
);
console.log(JSON.stringify(said));
