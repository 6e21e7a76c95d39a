/** Repeats a transaction of ours that was the victim of a deadlock: it has done nothing, and the others have gone on. */

import { translateDatabaseError } from "./sqlstate.ts";

const DEADLOCK = "40P01";
const TRIES_MAX = 5;

/** @param transaction a statement alone, or BEGIN to COMMIT; it may be run several times */
export async function outOfDeadlock<T>(transaction: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await transaction();
    } catch (error) {
      const { sqlstate } = translateDatabaseError(error).data;
      if (sqlstate !== DEADLOCK || tries >= TRIES_MAX) throw error;
    }
  }
}
