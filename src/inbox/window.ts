/**
 * One window of a source that is requested: reserved → sent → answered → done, each step a commit of its own, fenced by the
 * lease. After a crash, the state of the window says what had been done.
 */

import { setTimeout as wait } from "node:timers/promises";
import { backoffMs } from "../base/backoff.ts";
import { boundedWaitMs } from "../base/duration.ts";
import { PawlError } from "../base/errors.ts";
import { following, inTime } from "../base/in-time.ts";
import type { Logger } from "../base/log.ts";
import type { NamedLease } from "../kernel/named-lease/named-lease.ts";
import type { Starting } from "../kernel/starts.ts";
import type { HttpSender } from "../sender/sender.ts";
import type { PreparedExecutor } from "../store/executor.ts";
import { isTransient, translateDatabaseError } from "../store/sqlstate.ts";
import { checkPage, refuseUnkept } from "./contract.ts";
import { faultOf, faultOfPage } from "./fault.ts";
import type { FetchSource, Json, Page, PullSource, RawPage, Window } from "./source.ts";
import * as sql from "./sql.ts";

/** How often a write is tried that the database refuses. */
const KEEP_TRIES_MAX = 5;
const KEEP_RETRY_MS = { baseMs: 50, maxMs: 1_000 };

const NOT_SENT: sql.WindowFault = {
  fault: "unsent",
  error: "the loader was stopped before the request was sent",
  nextCursor: null,
  retryAfterMs: null,
};

/** The points at which crashes differ; tests stop here. */
export type Point = "reserved" | "sent" | "answered" | "kept" | "stored";

export interface WindowContext {
  executor: PreparedExecutor;
  http: HttpSender;
  log: Logger;
  payloadBytesMax: number;
  /** For people: who loads. */
  holder: string;
  /** Aborts when the loader must end now, in the middle of a request. */
  abort: AbortSignal;
  /** The loader wants to stop, or is held on this host: no further window begins. */
  isStopping: () => boolean;
  /** See `WorkerView`. */
  starting: Starting;
  /** Events were received. */
  received: (count: number) => void;
  at?: ((point: Point, source: string) => Promise<void> | void) | undefined;
}

interface Asked extends WindowContext {
  source: PullSource | FetchSource;
  lease: NamedLease;
}

/** Returns true if the next window may follow at once. @throws PawlError `named_lease_lost`, or errors of the database */
export async function nextWindow(
  source: PullSource | FetchSource,
  lease: NamedLease,
  context: WindowContext,
): Promise<boolean> {
  const asked = { ...context, source, lease };
  const held = { name: source.name, epoch: lease.epoch };
  const reserved = await sql.reserveWindow(context.executor, held, context.holder);
  if (reserved === undefined || reserved.window_id === null || reserved.after === null)
    return false;
  const window = {
    id: reserved.window_id,
    after: reserved.after,
    limit: source.limit,
    state: reserved.memo as Json | null,
  };
  if (reserved.outcome === "answered") return parseKept(asked, window);
  if (reserved.outcome !== "reserved") return false;
  await context.at?.("reserved", source.name);
  if (!(await waited(asked, reserved.wait_ms ?? 0))) return false;
  lease.requireLive();
  const mayStart = context.starting();
  try {
    if (!(await sql.markSent(context.executor, held, window.id, source.gapMs))) return false;
    await context.at?.("sent", source.name);
  } finally {
    setImmediate(mayStart);
  }
  if (context.abort.aborted || !mayStart()) return failed(asked, window, NOT_SENT);
  lease.requireLive(); // a process that was frozen here must not ask beside the next owner
  return "fetch" in source
    ? fetchWindow({ ...asked, source }, window)
    : requestWindow({ ...asked, source }, window);
}

interface OpenWindow extends Window {
  readonly id: string;
}

/** False: the loader stops, or lost the lease. The window stays reserved, which is nothing sent. */
async function waited({ abort, lease, isStopping }: Asked, waitMs: number): Promise<boolean> {
  if (waitMs > 0) {
    // a timer may be early by a part of a millisecond
    await following([abort, lease.signal], (signal) =>
      wait(Math.ceil(waitMs) + 1, undefined, { signal }),
    ).catch(() => undefined);
  }
  return !isStopping() && !lease.signal.aborted && !abort.aborted;
}

async function fetchWindow(
  asked: Asked & { source: FetchSource },
  window: OpenWindow,
): Promise<boolean> {
  let page: Page;
  try {
    page = await asking(asked, (context) => asked.source.fetch(window, context));
  } catch (thrown) {
    return failed(asked, window, faultOf(thrown));
  }
  await asked.at?.("answered", asked.source.name);
  return receivePage(asked, window, page, { isAnswer: true, retryAfterMs: null });
}

async function requestWindow(
  asked: Asked & { source: PullSource },
  window: OpenWindow,
): Promise<boolean> {
  const { source, executor, lease } = asked;
  let page: RawPage;
  try {
    page = await asking(asked, (context) => source.request(window, context));
    if (!(page?.bytes instanceof Uint8Array))
      throw new TypeError("`request` answered no page with `bytes`");
    refuseUnkept("info", page.info, asked.payloadBytesMax);
  } catch (thrown) {
    return failed(asked, window, faultOf(thrown));
  }
  await asked.at?.("answered", source.name);
  const held = { name: source.name, epoch: lease.epoch };
  const kept = {
    bytes: page.bytes,
    content_type: page.contentType ?? null,
    info: page.info,
    retry_after_ms: boundedWaitMs(page.retryAfterMs) ?? null,
  };
  const keep = () => sql.keepPage(executor, held, window.id, { gapMs: source.gapMs, page: kept });
  if (!(await untilKept(asked, keep))) return false;
  await asked.at?.("kept", source.name);
  return parse({ ...asked, source }, window, kept);
}

async function parseKept(asked: Asked, window: OpenWindow): Promise<boolean> {
  const { source, executor } = asked;
  const page = await sql.keptPage(executor, window.id);
  if (page !== undefined && !("fetch" in source)) return parse({ ...asked, source }, window, page);
  const error = "the page that was kept cannot be read: the source's definition has no `parse`";
  return failed(asked, window, { fault: "answered", error, nextCursor: null, retryAfterMs: null });
}

function parse(
  asked: Asked & { source: PullSource },
  window: OpenWindow,
  { bytes, content_type, info, retry_after_ms: retryAfterMs }: sql.KeptPage,
): Promise<boolean> {
  let page: Page;
  try {
    const raw: RawPage = {
      bytes,
      ...(content_type !== null && { contentType: content_type }),
      ...(info !== null && info !== undefined && { info: info as Json }),
    };
    page = asked.source.parse(raw, window);
  } catch (thrown) {
    return failed(asked, window, faultOfPage(thrown));
  }
  return receivePage(asked, window, page, { isAnswer: false, retryAfterMs });
}

async function receivePage(
  asked: Asked,
  window: OpenWindow,
  page: Page,
  { isAnswer, retryAfterMs }: { isAnswer: boolean; retryAfterMs: number | null },
): Promise<boolean> {
  const { source, executor, lease, holder, payloadBytesMax } = asked;
  const { cursor, idleMs } = source;
  let checked: ReturnType<typeof checkPage>;
  let said: Pick<Page, "more" | "retryAfterMs" | "state" | "lag">;
  try {
    const { after, limit } = window;
    checked = checkPage(page, { cursor, after, limit, payloadBytesMax });
    said = { ...page };
  } catch (thrown) {
    return failed(asked, window, faultOfPage(thrown));
  }
  const hasMoved = checked.count > 0 || (checked.next ?? window.after) !== window.after;
  const hasMore = hasMoved && (said.more ?? checked.count >= window.limit);
  const notBefore = Math.max(retryAfterMs ?? 0, boundedWaitMs(said.retryAfterMs) ?? 0);
  const nextMs = Math.max(hasMore ? 0 : idleMs, notBefore);
  const fence = { name: source.name, epoch: lease.epoch, holder };
  const received = {
    window: window.id,
    after: window.after,
    events: checked.events,
    next: checked.next,
    memo: said.state,
    lag: said.lag ?? null,
    nextMs,
    isAnswer,
  };
  let counts: sql.ReceivedCounts | undefined;
  try {
    counts = await untilKept(asked, () => sql.receive(executor, fence, received));
  } catch (thrown) {
    if (!isRefused(thrown)) throw thrown;
    return failed(asked, window, faultOfPage(thrown));
  }
  if (counts === undefined) return false;
  await asked.at?.("stored", source.name);
  if (counts.inserted > 0) asked.received(counts.inserted);
  return nextMs === 0;
}

/**
 * The answer or fault cost a request, so it is written again while the lease is ours and the database cannot be reached. A
 * write that had succeeded is recognized; a fault may be counted twice.
 */
async function untilKept<T>({ lease, abort }: Asked, write: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await write();
    } catch (thrown) {
      const error = translateDatabaseError(thrown);
      const isOver = lease.signal.aborted || abort.aborted;
      const isSpent = error.code !== "database_unreachable" && tries >= KEEP_TRIES_MAX;
      if (!isTransient(error) || isOver || isSpent) throw error;
      await wait(backoffMs(tries, KEEP_RETRY_MS));
    }
  }
}

/** The page's values were at fault, and will be the next time too. */
function isRefused(thrown: unknown): boolean {
  const { code } = translateDatabaseError(thrown);
  return code === "database_error" || code === "invalid_option";
}

async function failed(asked: Asked, window: OpenWindow, fault: sql.WindowFault): Promise<boolean> {
  const { source, executor, lease, log } = asked;
  const held = { name: source.name, epoch: lease.epoch };
  // "come back later" is an answer: the gap counts from it too
  const retryAfterMs = Math.max(fault.retryAfterMs ?? 0, source.gapMs);
  const told = { ...fault, retryAfterMs };
  const fail = () => sql.failWindow(executor, held, window.id, source.gapMs, told);
  const action = await untilKept(asked, fail);
  const data = { source: source.name, window: window.id, after: window.after, fault: fault.fault };
  if (action === "hold") {
    log.error(
      { ...data, err: fault.error },
      `source held: see \`pawl sources show ${source.name}\``,
    );
  } else log.warn({ ...data, err: fault.error }, "a window failed, it is tried again");
  return false;
}

/** The deadline, the lease and the loader's end abort the signal; code that ignores the signal is not waited for. */
function asking<T>(
  { source, lease, abort, http, log }: Asked,
  run: (context: { signal: AbortSignal; http: HttpSender; log: Logger }) => Promise<T>,
): Promise<T> {
  const { name, timeoutMs } = source;
  return inTime(
    { timeoutMs, timedOut: () => timedOut(name, timeoutMs), signals: [lease.signal, abort] },
    (signal) => run({ signal, http, log }),
  );
}

function timedOut(name: string, timeoutMs: number): PawlError {
  return new PawlError("handler_timeout", `source "${name}": no answer within ${timeoutMs} ms`);
}

/** The lease belongs to another worker now, which decides about this window. */
export function isLeaseLost(thrown: unknown): boolean {
  return translateDatabaseError(thrown).code === "named_lease_lost";
}
