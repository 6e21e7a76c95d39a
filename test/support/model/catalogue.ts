/** What the model and the kernel both know: four queues of one kind each, so that every option of a queue occurs. */

import type { RetrySeries } from "../../../src/kernel/retry.ts";
import type { Definitions } from "../../../src/kernel/sql.ts";

export const KINDS = ["strict", "loose", "wide", "paced"] as const;
export type Kind = (typeof KINDS)[number];

export const PRIORITIES = [0, 1] as const;

export interface Line {
  readonly onDead: "block" | "skip";
  readonly shards: number;
  readonly concurrency: number | null;
  readonly rate: { readonly limit: number; readonly per_ms: number; readonly burst: number } | null;
  readonly retry: RetrySeries;
}

const series = (
  attempts: number,
  delays_ms: number[],
  until_ms: number | null = null,
): RetrySeries => ({ attempts, delays_ms, jitter: 0, until_ms });

/** A queue is called as its kind. */
export const LINES: Readonly<Record<Kind, Line>> = {
  strict: {
    onDead: "block",
    shards: 1,
    concurrency: null,
    rate: null,
    retry: series(3, [1_000, 4_000]),
  },
  loose: {
    onDead: "skip",
    shards: 1,
    concurrency: 2,
    rate: null,
    retry: series(2, [2_000], 60_000),
  },
  wide: { onDead: "block", shards: 3, concurrency: null, rate: null, retry: series(6, [0, 1_000]) },
  paced: {
    onDead: "skip",
    shards: 1,
    concurrency: 3,
    rate: { limit: 1, per_ms: 1_000, burst: 2 },
    retry: series(2, [0]),
  },
};

export function definitions(): Definitions {
  return {
    application: "model",
    revision: 0,
    payload_bytes_max: 1_048_576,
    queues: KINDS.map((name) => {
      const { onDead, shards, concurrency, rate, retry } = LINES[name];
      return { name, retry, timeout_ms: null, shards, concurrency, rate, on_dead: onDead };
    }),
    streams: KINDS.map((kind) => ({
      queue: kind,
      kind,
      version: 1,
      retry: null,
      timeout_ms: null,
    })),
  };
}

export interface ShardName {
  readonly kind: Kind;
  readonly priority: number;
  readonly solo: boolean;
  readonly place: number;
}

export function shardKey({ kind, priority, solo, place }: ShardName): string {
  return `${kind}/${priority}${solo ? "/solo" : ""}/${place}`;
}
