/** Who may use a profile: one client, or the leader of those that share it. */
export const profileLock = (profile: string) => `mixlet:${profile}`;

/**
 * Held by every client that would share, in mode `shared`. The number is the version of what pages say to each other: of
 * one that says something else nobody can be a follower.
 */
export const sharesLock = (profile: string) => `mixlet:shares:1:${profile}`;

/** The channel on which pages that want to share are heard. */
export const hallName = (profile: string) => `mixlet:hall:1:${profile}`;

/** The channel and the lock of one follower. */
export const tabName = (tab: string) => `mixlet:tab:${tab}`;

/** What makes the keys of one line: both ends have drawn a part of it. */
export function lineSalt(tab: string, nonce: Uint8Array): Uint8Array<ArrayBuffer> {
  const name = new TextEncoder().encode(tab);
  const salt = new Uint8Array(name.byteLength + nonce.byteLength);
  salt.set(name);
  salt.set(nonce, name.byteLength);
  return salt;
}
