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
  /** How often this window was asked for, by what arrived here. */
  asked(source: string, after: string): number;
  /** From now on each source has so many events. */
  release(count: number): void;
  close(): Promise<void>;
}

/**
 * `GET /<source>?after=7&limit=10`: events 8 to 17, while there are some; each source has `count` of them. Payloads are
 * `{ n, request }`: the number of the event, and of the request that it answers, from 1.
 */
export async function feed(count: number): Promise<Feed> {
  const requests: FeedRequest[] = [];
  let released = count;
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://feed");
    const after = url.searchParams.get("after") ?? "0";
    const no = requests.push({ source: url.pathname.slice(1), after, at: new Date() });
    const limit = Number(url.searchParams.get("limit"));
    const first = Number(after) + 1;
    const last = Math.min(Number(after) + limit, released);
    const events = Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) => ({
      id: String(first + i),
      name: "feed.event",
      payload: { n: first + i, request: no },
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
    asked: (source, after) =>
      requests.filter((one) => one.source === source && one.after === after).length,
    release: (to) => {
      released = to;
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
