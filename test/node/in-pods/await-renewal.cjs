// Runs in a container: waits until a token file has another token, and prints both, and when that was in seconds.
const { readFileSync } = require('node:fs');

const [, file] = process.argv;
const first = readFileSync(file, 'utf8');
setInterval(() => {
  const second = readFileSync(file, 'utf8');
  if (second === first) return;
  console.log(JSON.stringify({ first, second, replaced: Date.now() / 1000 }));
  process.exit(0);
}, 250);
