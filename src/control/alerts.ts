/**
 * Tells once of each incident, as an event and in the log: of a lock that a dead process has left and that only an operator releases, and of
 * everything being off.
 */

import type { Logger } from "../base/log.ts";
import { type Loop, loop } from "../base/loop.ts";
import { messageOf } from "../base/thrown.ts";
import type { WorkerView } from "../kernel/worker.ts";
import type { Executor } from "../store/executor.ts";
import type { Store } from "../store/store.ts";
import {
  ARE_CHANGED_LOCKDOWNS,
  ARE_UNTOLD_LOCKS,
  type Lockdown,
  tellLockdowns,
  tellStaleLocks,
} from "./sql.ts";

/** The watch asks every second; this is only the longest sleep of the loop. */
const ROUND_MS = 3_600_000;

interface Alert {
  /** A question of the watch. */
  sql: string;
  /** Returns what was told of now: for the log. */
  tell: (executor: Executor) => Promise<[data: object, message: string][]>;
}

const ALERTS: readonly Alert[] = [
  {
    sql: ARE_UNTOLD_LOCKS,
    tell: async (executor) =>
      (await tellStaleLocks(executor)).map((key) => [
        { lock: key },
        `the lock of command "${key}" is held by a process that died`,
      ]),
  },
  {
    sql: ARE_CHANGED_LOCKDOWNS,
    tell: async (executor) =>
      (await tellLockdowns(executor)).map((one) => [one, lockdownText(one)]),
  },
];

function lockdownText({ host, off_by: by, why }: Lockdown): string {
  if (host !== "") return `everything is off on host ${host}, by a file or PAWL_OFF`;
  return `everything is off, by ${by}${why === null ? "" : ` (${why})`}`;
}

export function alerts(store: Store, log: Logger, watch: WorkerView["watch"]): Loop[] {
  return ALERTS.map(({ sql, tell }) => {
    const rounds = loop({
      runOnce: async () => {
        for (const [data, message] of await tell(store)) log.error(data, message);
        return ROUND_MS;
      },
      failed: (error) => log.warn({ err: messageOf(error) }, "telling of incidents failed"),
    });
    watch({ sql, yes: () => rounds.wake() });
    return rounds;
  });
}
