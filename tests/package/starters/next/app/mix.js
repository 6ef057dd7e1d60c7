'use client';

import { useEffect, useState } from 'react';
import { MixClient } from 'mixlet';

export default function Mix({ directory, title }) {
  const [shown, show] = useState({});
  useEffect(() => {
    const add = (more) => show((before) => ({ ...before, ...more }));
    const mix = new MixClient({ network: { directories: [directory] } });
    mix.addEventListener('message', ({ detail }) => add({ received: detail.text() }));
    const talk = async () => {
      add({ address: await mix.connect() });
      await mix.send(mix.address, `hello at ${location.pathname}`).delivered;
      add({ state: 'delivered' });
    };
    talk().catch((error) => add({ error: `${error.code}: ${error.message}` }));
    return () => void mix.close({ drain: false });
  }, [directory]);
  return (
    <>
      <h1>{title}</h1>
      {['address', 'received', 'state', 'error'].map((id) => (
        <p key={id} id={id}>
          {shown[id]}
        </p>
      ))}
    </>
  );
}
