/** If the database refuses a login, says which role is needed: the server's message names only an internal function. */

import { PawlError } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { isA } from "../base/thrown.ts";
import { openDatabase } from "../store/open-database.ts";
import { neededRole } from "../store/roles.ts";

interface Where {
  /** What was typed, without options. */
  what: string;
  place: () => Promise<{ schema: string; root: string }>;
  log: Logger;
}

/** The same error, or one that names the role. */
export async function namingRole(thrown: unknown, { what, place, log }: Where): Promise<unknown> {
  if (!isA(thrown, PawlError) || thrown.data.sqlstate !== "42501") return thrown;
  try {
    const where = await place();
    const database = await openDatabase({ ...where, connections: 1, log });
    try {
      const role = await neededRole(database.store, thrown.message);
      if (role === undefined) return thrown;
      const refusal = thrown.message.replace(/^database: /, "").split(";")[0];
      return new PawlError(
        "database_permission",
        `\`pawl ${what}\`: needs the role ${role}; have it granted to the login of DATABASE_URL, or use another (docs/roles.md); the server said: ${refusal}`,
        { cause: thrown, data: { ...thrown.data, role } },
      );
    } finally {
      await database.close();
    }
  } catch {
    return thrown;
  }
}
