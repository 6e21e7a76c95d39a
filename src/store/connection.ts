/**
 * One connection to PostgreSQL. The other side may fall silent without closing: connecting, each statement of ours and
 * the goodbye have a deadline, and a connection that misses it is cut.
 */

import pg from "pg";
import { PawlError } from "../base/errors.ts";
import { connectTimeoutMs } from "./connect-timeout.ts";

const KEEP_ALIVE_MS = 10_000;
/** How long the goodbye may take. */
const CLOSE_MS = 1_000;

export interface ConnectionConfig extends pg.ClientConfig {
  /** Told of each connection as it is made. */
  opened?: (connection: Connection) => void;
  /** Told of each statement of ours that was answered or refused. */
  trace?: ((data: Traced) => void) | undefined;
}

/** Nothing of its values, nor of what it answered. */
export interface Traced {
  /** On one line, literals left out. */
  readonly sql: string;
  readonly durationMs: number;
  /** Rows that it answered or wrote; null: it failed. */
  readonly rows: number | null;
}

/** The texts that the log keeps of a statement. */
const TRACED_CHARS = 300;

interface Due {
  /** By this process's steady clock. */
  readonly at: number;
  readonly timeoutMs: number;
}

export class Connection extends pg.Client {
  /** The statements that wait for their answers. */
  readonly #pending = new Set<Due>();
  /** `query_timeout` of the URL or of pg's defaults: for statements of the app's own. Ours have their deadlines. */
  readonly usersTimeoutMs: number | undefined;
  readonly #trace: ConnectionConfig["trace"];
  #look: NodeJS.Timeout | undefined;
  #looksAt = 0;

  constructor(config: ConnectionConfig = {}) {
    super({
      ...config,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
      connectionTimeoutMillis: connectTimeoutMs(config.connectionString ?? ""),
    });
    this.on("error", () => undefined); // its statement hears it, or the next one
    const parameters = Reflect.get(this, "connectionParameters") as { query_timeout?: unknown };
    this.usersTimeoutMs = Number(parameters.query_timeout) || undefined;
    parameters.query_timeout = false;
    this.#trace = config.trace;
    config.opened?.(this);
  }

  /** @throws DeadlineMissed */
  async answered(query: pg.QueryConfig, timeoutMs: number): Promise<pg.QueryResult> {
    const due = this.#expect(timeoutMs);
    const startedAt = performance.now();
    let answer: pg.QueryResult | undefined;
    try {
      // with a callback: a promise of node-postgres hangs on its statement, and keeps the answer until a full collection
      answer = await new Promise<pg.QueryResult>((resolve, reject) => {
        this.query(query, (error: Error | null, result) =>
          error ? reject(error) : resolve(result),
        );
      });
      return answer;
    } finally {
      this.#pending.delete(due);
      this.#trace?.(traced(query.text, startedAt, answer));
    }
  }

  /** One timer for all statements of a connection: one for each would keep their answers in the same way. */
  #expect(timeoutMs: number): Due {
    const due = { at: performance.now() + timeoutMs, timeoutMs };
    this.#pending.add(due);
    if (this.#look === undefined || this.#looksAt > due.at) this.#lookIn(timeoutMs);
    return due;
  }

  #lookIn(ms: number): void {
    clearTimeout(this.#look);
    this.#looksAt = performance.now() + ms;
    this.#look = setTimeout(() => this.#looked(), ms).unref();
  }

  #looked(): void {
    this.#look = undefined;
    const first = this.#first();
    if (first === undefined) return;
    const leftMs = first.at - performance.now();
    if (leftMs > 0) this.#lookIn(leftMs);
    else setImmediate(() => this.#cutIfDue()); // who stood still reads first what has come meanwhile
  }

  #cutIfDue(): void {
    const first = this.#first();
    if (first === undefined) return;
    if (first.at <= performance.now())
      this.connection.stream.destroy(new DeadlineMissed(first.timeoutMs));
    else if (this.#look === undefined) this.#lookIn(first.at - performance.now());
  }

  /** The one whose answer is due first. */
  #first(): Due | undefined {
    let first: Due | undefined;
    for (const due of this.#pending) if (first === undefined || due.at < first.at) first = due;
    return first;
  }

  /** node-postgres waits for the other side to close. */
  override end(): Promise<void>;
  override end(callback: (error: Error) => void): void;
  override end(callback?: (error: Error) => void): Promise<void> | undefined {
    const timer = setTimeout(() => this.cut(), CLOSE_MS);
    this.connection.once("end", () => clearTimeout(timer));
    timer.unref();
    if (callback === undefined) return super.end();
    super.end(callback);
    return undefined;
  }

  cut(): void {
    this.connection.stream.destroy();
  }
}

function traced(
  text: string,
  startedAt: number,
  answer: pg.QueryResult | pg.QueryResult[] | undefined,
): Traced {
  const last = Array.isArray(answer) ? answer.at(-1) : answer; // several statements in one text have a result each
  return {
    sql: text
      .replaceAll(/'(?:[^']|'')*'/g, "'…'")
      .replaceAll(/\s+/g, " ")
      .trim()
      .slice(0, TRACED_CHARS),
    durationMs: Math.round((performance.now() - startedAt) * 10) / 10,
    rows: answer === undefined ? null : (last?.rowCount ?? 0),
  };
}

/** What became of the statement is unknown, and the connection was cut. */
export class DeadlineMissed extends PawlError {
  constructor(timeoutMs: number) {
    super(
      "database_unreachable",
      `database: no answer within ${timeoutMs} ms, so the connection was closed; check the network and the load of the server`,
    );
  }
}

/** Sends a statement with a deadline. On a connection that is not ours, one that misses it is not cut. */
export function answered(
  client: pg.ClientBase,
  query: pg.QueryConfig,
  timeoutMs: number,
): Promise<pg.QueryResult> {
  if (client instanceof Connection) return client.answered(query, timeoutMs);
  const timed = { ...query, query_timeout: timeoutMs };
  return client.query(timed);
}
