import { errorCodes } from 'mixlet';
import Mix from './mix';

// Importing mixlet on the server does nothing and is harmless.
export default async function Page({ searchParams }) {
  const { directory } = await searchParams;
  return <Mix directory={directory} title={`mixlet knows ${errorCodes.length} kinds of trouble`} />;
}
