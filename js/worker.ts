import init, { MixletClient } from '../pkg/mixlet.js';
import { Host } from './host.js';
import type { Scope } from './host.js';

new Host(globalThis as unknown as Scope, async (module, post) => {
  await init({ module_or_path: module });
  return new MixletClient(post);
});
