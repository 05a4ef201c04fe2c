#!/usr/bin/env -S node --max-semi-space-size=64
// The flag: docs/adr/0072-young-objects-have-room.md
// Plain old JavaScript up to the version check: an old Node must be able to read this file to say that it is too old.
var wanted = [20, 19];
var found = process.versions.node.split('.').map(Number);

if (found[0] < wanted[0] || (found[0] === wanted[0] && found[1] < wanted[1])) {
  console.error('weft needs Node ' + wanted.join('.') + ' or newer; this is Node ' + process.versions.node + '.');
  process.exit(1);
}

// The built program where there is one, else the sources as they are.
import('./start.js').catch(function (error) {
  console.error(error);
  process.exitCode = 1;
});
