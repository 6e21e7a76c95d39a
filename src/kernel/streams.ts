/**
 * Which streams of the catalogue a worker can run, and in which order it wants them. Read again every few seconds:
 * a stream may appear while it runs, when a task is enqueued through SQL into another queue than its job names.
 */

import type { Executor } from "../store/executor.ts";
import { FairShares } from "./fair-shares.ts";
import { streams as readStreams, type StreamRow } from "./sql.ts";
import type { StreamHandler, TaskHandler } from "./task.ts";

export interface StreamsOptions {
  handlers: readonly TaskHandler[];
  /** In the order of preference. */
  queues: readonly string[];
  /** Also what waits in queues that are not named, after all others. */
  otherQueues?: boolean;
  /** Never these. */
  exclude?: readonly string[] | undefined;
  /** Shares of the starts by queue, 1 for those not named. Without it the first queue comes first. */
  weights?: Readonly<Record<string, number>> | undefined;
}

export class Streams {
  readonly handlers: Map<number, StreamHandler> = new Map();
  readonly fair: FairShares | undefined;
  readonly #options: StreamsOptions;
  readonly #ranks = new Map<number, number>();
  readonly #scopes = new Map<number, readonly string[]>();
  readonly #withBreaker = new Set<number>();

  constructor(options: StreamsOptions) {
    this.#options = options;
    const { queues, weights } = options;
    if (weights === undefined) return;
    const byPlace = Object.entries(weights).map(
      ([queue, weight]) => [queues.indexOf(queue), weight] as const,
    );
    this.fair = new FairShares(new Map(byPlace));
  }

  /** Returns true if a stream was added. */
  async refresh(executor: Executor): Promise<boolean> {
    const before = this.handlers.size;
    const rows = await readStreams(executor);
    this.#withBreaker.clear();
    for (const row of rows) this.#add(row);
    return this.handlers.size > before;
  }

  /** Returns the streams that none of the held scopes holds. */
  open(offHere: readonly string[]): number[] {
    return [...this.handlers.keys()].filter((stream) => this.isOpen(stream, offHere));
  }

  isOpen(stream: number, offHere: readonly string[]): boolean {
    if (offHere.length === 0) return true;
    return !this.scopesOf(stream).some((scope) => offHere.includes(scope));
  }

  scopesOf(stream: number): readonly string[] {
    return this.#scopes.get(stream) ?? [];
  }

  hasBreaker(stream: number): boolean {
    return this.#withBreaker.has(stream);
  }

  rank(stream: number): number {
    return this.#ranks.get(stream) ?? this.#options.queues.length;
  }

  #add(row: StreamRow): void {
    const { queues, otherQueues, exclude = [] } = this.#options;
    if (exclude.includes(row.queue)) return;
    const place = queues.indexOf(row.queue);
    if (place < 0 && otherQueues !== true) return;
    const known = this.handlers.get(row.id) ?? this.#handlerOf(row);
    if (known === undefined) return;
    this.handlers.set(row.id, known);
    if (row.has_breaker) this.#withBreaker.add(row.id);
    this.#ranks.set(row.id, place < 0 ? queues.length : place);
    this.#scopes.set(row.id, row.scopes);
  }

  /** The first that fits. A queue that handlers name is theirs alone: a job with the name of a part's kind gets nothing from it. */
  #handlerOf(row: StreamRow): StreamHandler | undefined {
    const { handlers } = this.#options;
    const named = handlers.filter((one) => one.queue !== undefined && isLike(row.queue, one.queue));
    const ofAny = handlers.filter((one) => one.queue === undefined);
    const handler = (named.length > 0 ? named : ofAny).find((one) => fits(row, one));
    return handler && { ...handler, queue: row.queue, kind: row.kind };
  }
}

function fits(row: StreamRow, { kind, version }: TaskHandler): boolean {
  return row.version === version && isLike(row.kind, kind);
}

/** `pattern` may end in `*`. */
function isLike(name: string, pattern: string): boolean {
  return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}
