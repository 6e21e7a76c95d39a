/** What the pools of one database are asked for from now on: files of tests share a process, and others have pools too. */

import pg from "pg";
import { vi } from "vitest";

/** Until the mocks are restored. */
export function askedOf(url: string): () => number {
  const spies = [vi.spyOn(pg.Pool.prototype, "query"), vi.spyOn(pg.Pool.prototype, "connect")];
  return () =>
    spies.flatMap(({ mock }) => mock.contexts).filter((pool) => isOf(pool as pg.Pool, url)).length;
}

function isOf(pool: pg.Pool, url: string): boolean {
  return pool.options.connectionString === url;
}
