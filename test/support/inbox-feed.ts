/** A server of events for tests of the inbox: counts who asked for what, and when. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface FeedRequest {
  source: string;
  after: string;
  at: Date;
}

export interface Feed {
  readonly url: string;
  readonly requests: readonly FeedRequest[];
  close(): Promise<void>;
}

/** `GET /<source>?after=7&limit=10`: events 8 to 17, while there are some; each source has `count` of them. */
export async function feed(count: number): Promise<Feed> {
  const requests: FeedRequest[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://feed");
    const after = url.searchParams.get("after") ?? "0";
    requests.push({ source: url.pathname.slice(1), after, at: new Date() });
    const limit = Number(url.searchParams.get("limit"));
    const first = Number(after) + 1;
    const last = Math.min(Number(after) + limit, count);
    const events = Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) => ({
      id: String(first + i),
      name: "feed.event",
      payload: { n: first + i },
    }));
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(events));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
