// A nonce is good for one answer, so pages are made when they are asked for.
export const dynamic = 'force-dynamic';
export const metadata = { title: 'mixlet', icons: 'data:,' };

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  );
}
