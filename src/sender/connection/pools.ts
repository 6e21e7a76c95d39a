/**
 * A pool of connections per origin. Invariant: of the origins with nothing under way only the most recently
 * used are kept, so that a process that has sent to a million hosts holds a few hundred.
 */

import { type buildConnector, Pool } from "undici";

/** Also the bound of what one slow host can hold of this process. */
const CONNECTIONS_PER_ORIGIN_MAX = 128;
const ORIGINS_MAX = 256;
/** A server may ask for longer than undici's 4 s, but not for more than this. */
const KEEP_ALIVE_MS_MAX = 60_000;
const RESPONSE_HEADER_BYTES_MAX = 16_384;

export interface OriginPool {
  readonly pool: Pool;
  /** Requests under way; who sends counts them. */
  underWay: number;
}

export interface OriginPools {
  /** `onNew` may throw: then there is no pool. */
  of(url: URL, onNew: () => void): OriginPool;
  destroy(): Promise<void>;
}

export function openPools(connect: buildConnector.connector): OriginPools {
  /** The least recently used first. */
  const origins = new Map<string, OriginPool>();
  const closing = new Set<Promise<void>>();
  const dropIdle = (): void => {
    for (const [origin, { pool, underWay }] of origins) {
      if (origins.size < ORIGINS_MAX) return;
      if (underWay > 0) continue;
      origins.delete(origin);
      const closed = pool.destroy().finally(() => closing.delete(closed));
      closing.add(closed);
    }
  };
  return {
    of: ({ origin }, onNew) => {
      const known = origins.get(origin);
      if (known === undefined) {
        onNew();
        dropIdle();
      } else origins.delete(origin);
      const entry = known ?? { pool: newPool(origin, connect), underWay: 0 };
      origins.set(origin, entry);
      return entry;
    },
    destroy: async () => {
      // Not `close()`: it would wait for connections that are still being made for requests long given up.
      await Promise.all([...[...origins.values()].map(({ pool }) => pool.destroy()), ...closing]);
    },
  };
}

function newPool(origin: string, connect: buildConnector.connector): Pool {
  return new Pool(origin, {
    connect,
    connections: CONNECTIONS_PER_ORIGIN_MAX,
    pipelining: 1,
    maxHeaderSize: RESPONSE_HEADER_BYTES_MAX,
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveMaxTimeout: KEEP_ALIVE_MS_MAX,
  });
}
