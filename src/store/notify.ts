/**
 * One LISTEN connection that comes back by itself. Notifications only hasten what polling would find:
 * losing this connection loses nothing.
 */

import pg from "pg";
import { backoffMs } from "../base/backoff.ts";
import type { Logger } from "../base/log.ts";
import { Connection } from "./connection.ts";
import { setUp } from "./session.ts";
import { translateDatabaseError } from "./sqlstate.ts";
import { OUR_TYPES } from "./types.ts";

const RECONNECT_MS_MAX = 10_000;
/** A connection that only listens notices by itself for a long time nothing of a silent other side. */
const SIGN_OF_LIFE_MS = 20_000;
const SIGN_WITHIN_MS = 5_000;
/** An outage of the database is told by others; a LISTEN that alone does not come back is told here. */
const QUIET_FAILURES = 5;

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
  let client: Connection | undefined;
  let stopped = false;
  let failures = 0;
  let timer: NodeJS.Timeout | undefined;

  const again = (error?: Error) => {
    if (stopped || timer !== undefined) return;
    failures += 1;
    if (error !== undefined) {
      const { code, message } = translateDatabaseError(error);
      log[failures > QUIET_FAILURES ? "warn" : "debug"](
        { err: message, code },
        "database: LISTEN was lost, polling goes on",
      );
    }
    timer = setTimeout(
      () => {
        timer = undefined;
        connect().catch(again);
      },
      backoffMs(failures, { baseMs: 100, maxMs: RECONNECT_MS_MAX }),
    );
    timer.unref();
  };
  const connect = async () => {
    let own: Connection;
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
      clearInterval(signs);
      own.end().catch(() => undefined);
      again(error);
    };
    const signs = setInterval(() => {
      own.answered({ text: "select 1" }, SIGN_WITHIN_MS).catch(over);
    }, SIGN_OF_LIFE_MS);
    signs.unref();
    own.on("error", over);
    own.on("end", () => over());
    own.on("notification", (message) => heard(message.payload ?? ""));
    try {
      await own.connect();
      await setUp(own);
      const text = `listen ${pg.escapeIdentifier(channel)}`;
      await own.answered({ text }, SIGN_WITHIN_MS);
      failures = 0;
      heard("");
    } catch (error) {
      over(error as Error);
    }
  };
  connect().catch(again);
  return {
    stop: async () => {
      stopped = true;
      clearTimeout(timer);
      await client?.end().catch(() => undefined);
    },
  };
}

/** @throws when a file that the URL names, such as a certificate, is not there */
function newClient(url: string): Connection {
  return new Connection({
    connectionString: url,
    application_name: "pawl listen",
    types: OUR_TYPES,
  });
}
