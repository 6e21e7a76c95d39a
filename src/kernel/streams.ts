/**
 * Which streams of the catalogue a worker can run, and in which order it wants them. Read anew every few seconds:
 * a stream may appear while it runs, when a task is enqueued through SQL into another queue than its job names.
 */

import type { Executor } from "../store/executor.ts";
import { streams as readStreams, type StreamRow } from "./sql.ts";
import type { TaskHandler } from "./task.ts";

export interface StreamsOptions {
  handlers: readonly TaskHandler[];
  /** In the order of preference. */
  queues: readonly string[];
  /** Also what waits in queues that are not named, after all others. */
  otherQueues?: boolean;
}

export class Streams {
  readonly handlers: Map<number, TaskHandler> = new Map();
  readonly #options: StreamsOptions;
  readonly #ranks = new Map<number, number>();
  readonly #queues = new Map<number, string>();
  readonly #withBreaker = new Set<number>();
  readonly #byQueue: Map<string, TaskHandler>;
  readonly #byKind: Map<string, TaskHandler>;
  readonly #byPrefix: readonly TaskHandler[];

  constructor(options: StreamsOptions) {
    this.#options = options;
    const { handlers } = options;
    this.#byQueue = new Map(handlers.map((one) => [`${one.queue} ${kindOf(one)}`, one]));
    this.#byKind = new Map(
      handlers.filter((one) => one.inAnyQueue === true).map((one) => [kindOf(one), one]),
    );
    this.#byPrefix = handlers.filter((one) => one.isPrefix === true);
  }

  /** Answers whether a stream was added. */
  async refresh(executor: Executor): Promise<boolean> {
    const before = this.handlers.size;
    const rows = await readStreams(executor);
    this.#withBreaker.clear();
    for (const row of rows) this.#add(row);
    return this.handlers.size > before;
  }

  /** Those whose queue is not among the held scopes. */
  open(offHere: readonly string[]): number[] {
    if (offHere.includes("all")) return [];
    if (offHere.length === 0) return [...this.handlers.keys()];
    const isOff = (stream: number) => offHere.includes(`queue:${this.#queues.get(stream)}`);
    return [...this.handlers.keys()].filter((stream) => !isOff(stream));
  }

  hasBreaker(stream: number): boolean {
    return this.#withBreaker.has(stream);
  }

  rank(stream: number): number {
    return this.#ranks.get(stream) ?? this.#options.queues.length;
  }

  #add(row: StreamRow): void {
    const { queues, otherQueues } = this.#options;
    const place = queues.indexOf(row.queue);
    const handler =
      this.#byQueue.get(`${row.queue} ${kindOf(row)}`) ??
      this.#byKind.get(kindOf(row)) ??
      this.#byPrefix.find((one) => isOfPrefix(row, one));
    if (handler === undefined || (place < 0 && otherQueues !== true)) return;
    // a handler of any queue or of many kinds sees those of its task
    if (!this.handlers.has(row.id))
      this.handlers.set(row.id, { ...handler, queue: row.queue, kind: row.kind });
    if (row.has_breaker) this.#withBreaker.add(row.id);
    this.#ranks.set(row.id, place < 0 ? queues.length : place);
    this.#queues.set(row.id, row.queue);
  }
}

function isOfPrefix(row: StreamRow, { queue, kind, version }: TaskHandler): boolean {
  return row.queue === queue && row.version === version && row.kind.startsWith(kind);
}

function kindOf({ kind, version }: { kind: string; version: number }): string {
  return `${kind} ${version}`;
}
