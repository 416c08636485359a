/** A quote service on this machine, in the form of the public one: CSV with a header line. */

import { once } from 'node:events';
import { createServer } from 'node:http';

const HEADER = 'Symbol,Date,Time,Open,High,Low,Close,Volume\r\n';

export async function startQuotes() {
  const server = createServer((request, response) => {
    const code = (new URL(request.url, 'http://quotes').searchParams.get('s') ?? '').toUpperCase();
    const price = code === 'AAPL.US' ? '91.80,94.10,91.25,93.42,38120400' : 'N/D,N/D,N/D,N/D,N/D';
    const shown = code === 'EVIL.US' ? '<img src=x onerror=alert(1)>' : code;
    response.writeHead(200, { 'content-type': 'text/csv' });
    response.end(`${HEADER}${shown},2024-07-02,22:00:00,${price}\r\n`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  return {
    template: `http://127.0.0.1:${port}/q/l/?s={code}&f=sd2t2ohlcv&h&e=csv`,
    close: () => server.close(),
  };
}
