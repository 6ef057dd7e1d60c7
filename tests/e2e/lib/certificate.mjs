// A self-signed certificate, made anew for each run, so that no tool has to be installed and no key lies in the
// repository. DER is lengths and tags; only what a browser insists on is in it.

import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

/** `{ key, cert }` in PEM for an https server with this host name. */
export function selfSigned(host) {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ecdsaSha256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));
  const commonName = sequence(oid(0x55, 0x04, 0x03), tagged(0x0c, Buffer.from(host)));
  const name = sequence(tagged(0x31, commonName));
  const day = 24 * 3600 * 1000;
  const validity = sequence(utcTime(Date.now() - day), utcTime(Date.now() + 30 * day));
  const altNames = sequence(tagged(0x82, Buffer.from(host)));
  const extension = sequence(oid(0x55, 0x1d, 0x11), tagged(0x04, altNames));
  const serial = randomBytes(8);
  // A number in DER is signed, and has no leading zero.
  serial[0] = (serial[0] & 0x3f) | 0x40;
  const body = sequence(
    tagged(0xa0, tagged(0x02, Buffer.from([2]))),
    tagged(0x02, serial),
    ecdsaSha256,
    name,
    validity,
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(extension)),
  );
  const signature = sign('sha256', body, privateKey);
  const der = sequence(body, ecdsaSha256, tagged(0x03, Buffer.concat([Buffer.from([0]), signature])));
  const lines = der.toString('base64').match(/.{1,64}/g);
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    cert: `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`,
  };
}

function tagged(tag, ...parts) {
  const content = Buffer.concat(parts);
  const { length } = content;
  const header = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...header]), content]);
}

const sequence = (...parts) => tagged(0x30, ...parts);
const oid = (...bytes) => tagged(0x06, Buffer.from(bytes));

/** A time as `YYMMDDhhmmssZ`. */
function utcTime(ms) {
  const digits = new Date(ms).toISOString().replace(/\D/g, '').slice(2, 14);
  return tagged(0x17, Buffer.from(`${digits}Z`));
}
