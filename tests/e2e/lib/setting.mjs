// Where a part takes place: a devnet and a browser profile of its own, which end with it.

import { Devnet } from './devnet.mjs';

const UNPACED = { dangerNoPacing: true };

/**
 * Runs a part, which is given the devnet, the profile and `options(place, privacy)`: those of a client behind the gateway
 * at that place. Unless the part says otherwise packets leave at once, so that nobody waits for slots.
 */
export async function onDevnet(name, browser, part) {
  const net = await Devnet.start(name);
  const profile = await browser.profile();
  const options = (place, privacy = UNPACED) => ({
    network: { directories: [net.directory] },
    gateway: { id: net.gatewayIds[place] },
    privacy,
  });
  try {
    await part({ net, profile, options });
  } finally {
    await profile.close();
    await net.stop();
  }
}
