/**
 * One LISTEN connection that comes back by itself. Notifications only hasten what polling would find:
 * losing this connection loses nothing.
 */

import pg from "pg";
import { backoffMs } from "../base/backoff.ts";
import type { Logger } from "../base/log.ts";

const RECONNECT_MS_MAX = 10_000;

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
    const own = new pg.Client({
      connectionString: url,
      keepAlive: true,
      application_name: "pawl listen",
    });
    client = own;
    own.on("error", (error) => {
      own.end().catch(() => undefined);
      again(error);
    });
    own.on("end", () => again());
    own.on("notification", (message) => heard(message.payload ?? ""));
    try {
      await own.connect();
      await own.query(`listen ${pg.escapeIdentifier(channel)}`);
      failures = 0;
      heard("");
    } catch (error) {
      own.end().catch(() => undefined);
      again(error as Error);
    }
  };
  void connect();
  return {
    stop: async () => {
      stopped = true;
      clearTimeout(timer);
      await client?.end().catch(() => undefined);
    },
  };
}
