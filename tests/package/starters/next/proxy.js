import { NextResponse } from 'next/server';

/** Next writes scripts into its pages, which a strict content policy lets run only with a nonce. */
export function proxy(request) {
  const nonce = btoa(crypto.randomUUID());
  const policy = [
    "default-src 'none'",
    `script-src 'self' 'nonce-${nonce}' 'wasm-unsafe-eval'`,
    "worker-src 'self'",
    // The directory and the gateways of your network.
    `connect-src 'self' ${process.env.MIX_NETWORK}`,
    'img-src data:',
  ].join('; ');
  const headers = new Headers(request.headers);
  headers.set('content-security-policy', policy);
  const response = NextResponse.next({ request: { headers } });
  response.headers.set('content-security-policy', policy);
  return response;
}
