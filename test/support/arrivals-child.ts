/**
 * A server in a process of its own that notes when each request arrives, by its own steady clock. `GET /paced?after=7`
 * answers event 8 and, four times of five, that there is more. `GET /turn` is answered when each of `PAWL_TEST_LOADERS`
 * processes has asked for its next turn. Tells its parent its URL, and what it noted when `PAWL_TEST_REQUESTS` have arrived.
 */

import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A slow answer, in ms, now and then: what counts is the answer, not the request. */
const ANSWER_MS = [0, 0, 3, 0, 12];

/** After so many there is nothing more for now, and the turn of the process that asked is over. */
const WINDOWS = 5;

export interface Arrivals {
  /** Of the requests, in ms. */
  at: number[];
  /** Requests that were under way at once. */
  most: number;
}

const arrivals: Arrivals = { at: [], most: 0 };
let running = 0;

/** Processes that have had their turn, or are up and have not had one. */
const waiting: ServerResponse[] = [];

/** A round begins when all have had their turn in the one before: each takes part in each, whichever is first. */
function nextTurn(response: ServerResponse): void {
  waiting.push(response);
  if (waiting.length < Number(process.env.PAWL_TEST_LOADERS)) return;
  for (const one of waiting.splice(0)) one.end();
}

const server = createServer((request, response) => {
  const at = performance.now();
  const url = new URL(request.url ?? "/", "http://arrivals");
  if (url.pathname === "/turn") return nextTurn(response);
  const no = arrivals.at.push(at);
  running += 1;
  arrivals.most = Math.max(arrivals.most, running);
  const id = String(Number(url.searchParams.get("after")) + 1);
  setTimeout(
    () => {
      running -= 1;
      response.end(JSON.stringify({ events: [{ id, payload: {} }], more: no % WINDOWS !== 0 }));
      if (no === Number(process.env.PAWL_TEST_REQUESTS)) process.send?.(arrivals);
    },
    ANSWER_MS[no % ANSWER_MS.length],
  );
});

process.once("disconnect", () => process.exit(0));
server.listen(0, "127.0.0.1", () => {
  process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
