/**
 * Which streams of the catalogue a worker can run, and in which order it wants them. Read again every few seconds:
 * a stream may appear while it runs, when a task is enqueued through SQL into another queue than its job names.
 */

import { queueScope } from "../base/scope.ts";
import type { Executor } from "../store/executor.ts";
import { streams as readStreams, type StreamRow } from "./sql.ts";
import type { StreamHandler, TaskHandler } from "./task.ts";

export interface StreamsOptions {
  handlers: readonly TaskHandler[];
  /** In the order of preference. */
  queues: readonly string[];
  /** Also what waits in queues that are not named, after all others. */
  otherQueues?: boolean;
}

export class Streams {
  readonly handlers: Map<number, StreamHandler> = new Map();
  readonly #options: StreamsOptions;
  readonly #ranks = new Map<number, number>();
  readonly #queues = new Map<number, string>();
  readonly #withBreaker = new Set<number>();

  constructor(options: StreamsOptions) {
    this.#options = options;
  }

  /** Returns true if a stream was added. */
  async refresh(executor: Executor): Promise<boolean> {
    const before = this.handlers.size;
    const rows = await readStreams(executor);
    this.#withBreaker.clear();
    for (const row of rows) this.#add(row);
    return this.handlers.size > before;
  }

  /** Returns the streams whose queues are not among the held scopes. */
  open(offHere: readonly string[]): number[] {
    if (offHere.includes("all")) return [];
    if (offHere.length === 0) return [...this.handlers.keys()];
    const isOff = (stream: number) => offHere.includes(queueScope(this.#queues.get(stream) ?? ""));
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
    if (place < 0 && otherQueues !== true) return;
    const known = this.handlers.get(row.id) ?? this.#handlerOf(row);
    if (known === undefined) return;
    this.handlers.set(row.id, known);
    if (row.has_breaker) this.#withBreaker.add(row.id);
    this.#ranks.set(row.id, place < 0 ? queues.length : place);
    this.#queues.set(row.id, row.queue);
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
