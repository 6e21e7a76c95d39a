/** What pools are asked for from now on: each statement goes through one. Files of tests share a process, and others have pools too. */

import pg from "pg";
import { vi } from "vitest";

/** Until the mocks are restored. @param url of the one database whose pools count; without: all */
export function askedOf(url?: string): () => number {
  const spies = [vi.spyOn(pg.Pool.prototype, "query"), vi.spyOn(pg.Pool.prototype, "connect")];
  return () =>
    spies.flatMap(({ mock }) => mock.contexts).filter((pool) => isOf(pool as pg.Pool, url)).length;
}

function isOf(pool: pg.Pool, url: string | undefined): boolean {
  return url === undefined || pool.options.connectionString === url;
}
