// A receiver of webhooks in a process of its own: answers 204 as soon as it has the whole request, and counts.
import { once } from "node:events";
import { createServer } from "node:http";

export async function open() {
  let received = 0;
  const server = createServer((request, response) => {
    request.resume();
    request.once("end", () => {
      received += 1;
      response.writeHead(204).end();
    });
  });
  server.keepAliveTimeout = 60_000;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: async () => `http://127.0.0.1:${server.address().port}`,
    count: async () => received,
    close: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
