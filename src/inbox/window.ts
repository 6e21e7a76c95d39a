/**
 * One window of a source that is asked: reserved → sent → answered → done, each step a commit of its own, fenced by the
 * lease. Whoever finds a window after a crash can tell from its state what had been done.
 */

import { setTimeout as wait } from "node:timers/promises";
import { backoffMs } from "../base/backoff.ts";
import { PawlError } from "../base/errors.ts";
import { following, inTime } from "../base/in-time.ts";
import type { Logger } from "../base/log.ts";
import type { NamedLease } from "../kernel/named-lease/named-lease.ts";
import type { HttpSender } from "../requests/sender.ts";
import type { PreparedExecutor } from "../store/executor.ts";
import { isTransient, translateDatabaseError } from "../store/sqlstate.ts";
import { checkPage } from "./contract.ts";
import { faultOf, faultOfPage } from "./fault.ts";
import type { FetchSource, Json, Page, PullSource, RawPage, Window } from "./source.ts";
import * as sql from "./sql.ts";

/** Where the database is there and refuses. */
const KEEP_TRIES_MAX = 5;
const KEEP_RETRY_MS = { baseMs: 50, maxMs: 1_000 };

const NOT_SENT: sql.WindowFault = {
  fault: "unsent",
  error: "the loader was stopped before the request was sent",
  nextCursor: null,
  retryAfterMs: null,
};

/** Where a crash is told apart from another; tests stop here. */
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
  /** Events were received. */
  received: (count: number) => void;
  at?: ((point: Point, source: string) => Promise<void> | void) | undefined;
}

interface Asked extends WindowContext {
  source: PullSource | FetchSource;
  lease: NamedLease;
}

/** Answers true when the next window may follow at once. @throws PawlError `named_lease_lost`, or the database's */
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
  if (!(await sql.markSent(context.executor, held, window.id, source.gapMs))) return false;
  await context.at?.("sent", source.name);
  if (context.abort.aborted) return failed(asked, window, NOT_SENT);
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
  } catch (thrown) {
    return failed(asked, window, faultOf(thrown));
  }
  await asked.at?.("answered", source.name);
  const held = { name: source.name, epoch: lease.epoch };
  const kept = {
    bytes: page.bytes,
    content_type: page.contentType ?? null,
    info: page.info,
    retry_after_ms: page.retryAfterMs ?? null,
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
  try {
    const { after, limit } = window;
    checked = checkPage(page, { cursor, after, limit, payloadBytesMax });
  } catch (thrown) {
    return failed(asked, window, faultOfPage(thrown));
  }
  const hasMoved = checked.count > 0 || (checked.next ?? window.after) !== window.after;
  const hasMore = hasMoved && (page.more ?? checked.count >= window.limit);
  const notBefore = Math.max(retryAfterMs ?? 0, page.retryAfterMs ?? 0);
  const nextMs = Math.max(hasMore ? 0 : idleMs, notBefore);
  const fence = { name: source.name, epoch: lease.epoch, holder };
  const received = {
    window: window.id,
    after: window.after,
    events: checked.events,
    next: checked.next,
    memo: page.state,
    lag: page.lag ?? null,
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
 * The answer, or the fault, is in our hands and cost a request: while the lease is ours, a database that cannot be reached
 * is tried again. What was written already is seen as such; a fault may be counted twice.
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

/** The page's values were at fault: they will be the next time. */
function isRefused(thrown: unknown): boolean {
  const { code } = translateDatabaseError(thrown);
  return code === "database_error" || code === "invalid_option";
}

async function failed(asked: Asked, window: OpenWindow, fault: sql.WindowFault): Promise<boolean> {
  const { source, executor, lease, log } = asked;
  const held = { name: source.name, epoch: lease.epoch };
  // who was told to come back later was answered: the gap counts from this answer too
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

/** The deadline, the lease and the loader's end abort the signal; who does not heed it is not waited for. */
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

/** The lease belongs to somebody else now: what was begun is theirs to judge. */
export function isLeaseLost(thrown: unknown): boolean {
  return translateDatabaseError(thrown).code === "named_lease_lost";
}
