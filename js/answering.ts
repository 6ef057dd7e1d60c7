import type { SendSettings } from './protocol.js';

/** How answers to requests are sent: there is nobody to ask for other settings. */
export const answering: SendSettings = {
  timeoutMs: null,
  replies: 'auto',
  reliable: true,
  priority: 1,
  receipt: false,
  watched: false,
};
