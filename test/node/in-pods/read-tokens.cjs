// Runs in a container: prints as one line of JSON who it is and what it sees of the tokens in the folders it is told.
const { readdirSync, readFileSync, statSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');

function look(folder) {
  try {
    // The kubelet's own links start with two dots.
    const names = readdirSync(folder).filter((name) => !name.startsWith('..'));
    return { files: Object.fromEntries(names.map((name) => [name, lookAt(join(folder, name))])), write: write(folder) };
  } catch (error) {
    return { files: error.code };
  }
}

function lookAt(file) {
  try {
    const { mode, uid, gid } = statSync(file);
    return { mode: (mode & 0o777).toString(8), uid, gid, token: readFileSync(file, 'utf8') };
  } catch (error) {
    return { error: error.code };
  }
}

function write(folder) {
  try {
    writeFileSync(join(folder, 'mine'), '');
    return 'written';
  } catch (error) {
    return error.code;
  }
}

const [, ...folders] = process.argv;
const seen = Object.fromEntries(folders.map((folder) => [folder, look(folder)]));
const { API_TOKEN_FILE: variable } = process.env;
console.log(JSON.stringify({ uid: process.getuid(), groups: process.getgroups(), variable, seen }));

// A sidecar must not end before the others.
if (process.env.STAY) {
  process.on('SIGTERM', () => process.exit());
  setInterval(() => undefined, 60_000);
}
