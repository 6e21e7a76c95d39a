/**
 * One LISTEN connection that comes back by itself. Notifications only hasten what polling would find:
 * losing this connection loses nothing.
 */

import pg from "pg";
import { backoffMs } from "../base/backoff.ts";
import type { Logger } from "../base/log.ts";

const RECONNECT_MS_MAX = 10_000;
/** How long the goodbye may take: the other side may have fallen silent. */
const CLOSE_MS = 1_000;

export interface Listener {
  stop(): Promise<void>;
}

/** @param heard called with the payload of each notification, and with `""` after each (re)connect */
export function listen(options: {
  url: string;
  channel: string;
  log: Logger;
  heard: (payload: string) => void;
}): Listener {
  const { url, channel, log, heard } = options;
  let client: pg.Client | undefined;
  let stopped = false;
  let failures = 0;
  let timer: NodeJS.Timeout | undefined;

  const again = (error?: Error) => {
    if (stopped || timer !== undefined) return;
    failures += 1;
    if (error !== undefined)
      log.warn({ err: error.message }, "database: LISTEN was lost, polling goes on");
    timer = setTimeout(
      () => {
        timer = undefined;
        void connect();
      },
      backoffMs(failures, { baseMs: 100, maxMs: RECONNECT_MS_MAX }),
    );
    timer.unref();
  };
  const connect = async () => {
    let own: pg.Client;
    try {
      own = newClient(url);
    } catch (error) {
      return again(error as Error);
    }
    client = own;
    let isOver = false;
    const over = (error?: Error) => {
      if (isOver) return; // its end may come when it has been replaced already
      isOver = true;
      void close(own);
      again(error);
    };
    own.on("error", over);
    own.on("end", () => over());
    own.on("notification", (message) => heard(message.payload ?? ""));
    try {
      await own.connect();
      await own.query(`listen ${pg.escapeIdentifier(channel)}`);
      failures = 0;
      heard("");
    } catch (error) {
      over(error as Error);
    }
  };
  void connect();
  return {
    stop: async () => {
      stopped = true;
      clearTimeout(timer);
      if (client !== undefined) await close(client);
    },
  };
}

/** @throws when a file that the URL names, such as a certificate, is not there */
function newClient(url: string): pg.Client {
  return new pg.Client({
    connectionString: url,
    keepAlive: true,
    application_name: "pawl listen",
  });
}

/** node-postgres waits for the other side to close, and one that has fallen silent never does. */
async function close(client: pg.Client): Promise<void> {
  const timer = setTimeout(() => client.connection.stream.destroy(), CLOSE_MS);
  await client.end().catch(() => undefined);
  clearTimeout(timer);
}
