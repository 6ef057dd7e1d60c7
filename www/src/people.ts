/** The name in the page's address, or null. It is the profile too, so it is kept simple. */
export function whoIsIt(search: string): string | null {
  const name = new URLSearchParams(search).get('me')?.trim().toLowerCase() ?? '';
  return /^[a-z0-9_-]{1,24}$/.test(name) ? name : null;
}

export const title = (name: string) => name.slice(0, 1).toUpperCase() + name.slice(1);

/** Whom this person talks to by default. */
export const partnerOf = (name: string) => (name === 'alice' ? 'bob' : 'alice');

/** The link under which a person opens this page, with what else is in the present one (but not its recipient). */
export function linkFor(name: string, to?: string): string {
  const url = new URL(location.href);
  url.hash = '';
  url.searchParams.set('me', name);
  if (to === undefined) url.searchParams.delete('to');
  else url.searchParams.set('to', to);
  return url.href;
}

/**
 * Addresses of those who have opened this page in this browser, so that two windows find each other without copying. In
 * two browsers the address has to be brought over by hand, as in real life.
 */
export const addressBook = {
  note(name: string, address: string): void {
    withStorage((storage) => storage.setItem(prefix + name, address));
  },
  find(name: string): string | null {
    return withStorage((storage) => storage.getItem(prefix + name)) ?? null;
  },
  /** Calls back when another window has noted an address. */
  watch(name: string, found: (address: string) => void): void {
    addEventListener('storage', ({ key, newValue }) => {
      if (key === prefix + name && newValue) found(newValue);
    });
  },
};

const prefix = 'mixlet-demo:address:';

function withStorage<T>(use: (storage: Storage) => T): T | undefined {
  try {
    return use(localStorage);
  } catch {
    // Blocked: then addresses are copied by hand.
    return undefined;
  }
}
