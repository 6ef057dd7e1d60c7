import { Refusal } from './load.js';

/**
 * The keys between the tabs of a profile. All come from one that the browser refuses to export and keeps for this origin:
 * a context that listens to the channels and has no access to the database reads nothing.
 */
export interface TabKeys {
  /** Seals greetings, with random IVs. */
  readonly hall: CryptoKey;
  /** Two keys for one line: what the follower writes, and what the leader does. `salt` was drawn by both. */
  line(salt: Uint8Array<ArrayBuffer>): Promise<{ up: CryptoKey; down: CryptoKey }>;
}

/** The keys of this profile; the first tab makes them. Throws `Refusal` `storage-blocked`. */
export async function tabKeys(profile: string): Promise<TabKeys> {
  let base: CryptoKey;
  try {
    base = await stored(profile, await drawn());
  } catch (cause) {
    throw new Refusal('storage-blocked', 'storage', '', { cause });
  }
  return derived(base);
}

/** Deletes the key of this profile, which nobody uses. One that cannot be deleted tells nothing of anybody. */
export function forgetTabKey(profile: string): Promise<void> {
  return new Promise((resolve) => {
    try {
      const deleting = indexedDB.deleteDatabase(databaseName(profile));
      deleting.onsuccess = deleting.onerror = deleting.onblocked = () => resolve();
    } catch {
      resolve();
    }
  });
}

/** The keys that come from this one, which is for HKDF. */
export async function derived(base: CryptoKey): Promise<TabKeys> {
  const derive = (salt: Uint8Array<ArrayBuffer>, info: string) =>
    crypto.subtle.deriveKey(
      { name: 'HKDF', hash: 'SHA-256', salt, info: new TextEncoder().encode(`mixlet tabs 1 ${info}`) },
      base,
      { name: 'AES-GCM', length: 256 },
      false,
      ['encrypt', 'decrypt'],
    );
  return {
    hall: await derive(new Uint8Array(), 'hall'),
    line: async (salt) => {
      const [up, down] = await Promise.all([derive(salt, 'up'), derive(salt, 'down')]);
      return { up, down };
    },
  };
}

/** A new one that cannot be exported. */
export async function drawn(): Promise<CryptoKey> {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  const key = await crypto.subtle.importKey('raw', bytes, 'HKDF', false, ['deriveKey']);
  bytes.fill(0);
  return key;
}

/** The stored one, or `fresh`, which is stored then. Two tabs that do so at once get the same. */
async function stored(profile: string, fresh: CryptoKey): Promise<CryptoKey> {
  const opening = indexedDB.open(databaseName(profile), 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
  const database = await settled(opening);
  try {
    const store = database.transaction(STORE, 'readwrite').objectStore(STORE);
    const old = (await settled(store.get(KEY))) as CryptoKey | undefined;
    if (old) return old;
    await settled(store.put(fresh, KEY));
    return fresh;
  } finally {
    database.close();
  }
}

const settled = <T>(request: IDBRequest<T>) =>
  new Promise<T>((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('IndexedDB'));
  });

const databaseName = (profile: string) => `mixlet-tabs-${profile}`;
const STORE = 'keys';
const KEY = 'channel';
