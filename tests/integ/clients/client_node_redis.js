// SPDX-License-Identifier: Apache-2.0
// usage: client_node_redis.js NAME PREFIX SENTINEL...   Writes keys one after the other until it is
// ended; prints "A KEY" for each that was acknowledged.
'use strict';
const { createSentinel } = require('redis');
const [name, prefix, ...addresses] = process.argv.slice(2);
const sentinelRootNodes = addresses.map((a) => ({
  host: a.split(':')[0], port: Number(a.split(':')[1]) }));
const client = createSentinel({ name, sentinelRootNodes });
client.on('error', () => {}); // it connects again by itself

async function main() {
  await client.connect();
  for (let i = 0; ; i++) {
    for (;;) {
      try {
        await client.set(`${prefix}:${i}`, String(i));
        break;
      } catch (error) {
        console.log(`E ${error.message}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    console.log(`A ${prefix}:${i} ${i}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
main();
