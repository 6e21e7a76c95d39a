/** A source that delivers by itself: opened at the stored cursor under its lease, each page durable before it is acknowledged. */

import { heeding } from "../base/in-time.ts";
import type { NamedLease } from "../kernel/named-lease/named-lease.ts";
import { ContractBroken, checkPage } from "./contract.ts";
import { faultOf } from "./fault.ts";
import { type Page, type PushSource, SourceUnavailable } from "./source.ts";
import * as sql from "./sql.ts";
import { isLeaseLost, type WindowContext } from "./window.ts";

const FULL_LOOK_MS = 100;
const LOOK_MS = 1_000;

interface Open extends WindowContext {
  source: PushSource;
  held: sql.Held;
  signal: AbortSignal;
  /** Aborts the signal of `open`; with a reason, as a fault. */
  end: (reason?: unknown) => void;
  /** The cursor of the last delivered event. */
  after: string;
  /** True while a delivery moves the cursor: then only the delivery can tell whether a person has moved it. */
  isDelivering: boolean;
}

/** Runs until the loader stops, the lease is lost, or the source is paused, held, moved or fails. */
export async function runPush(
  source: PushSource,
  lease: NamedLease,
  context: WindowContext,
): Promise<void> {
  const { executor, http, log, abort } = context;
  const held = { name: source.name, epoch: lease.epoch };
  const mayStart = context.starting();
  const cursor = await sql.pushCursor(executor, held).finally(() => setImmediate(mayStart));
  if (cursor === undefined || !mayStart()) return;
  const over = new AbortController();
  let fault: unknown;
  const end = (reason?: unknown) => {
    fault ??= reason;
    over.abort(reason);
  };
  const signal = AbortSignal.any([over.signal, lease.signal, abort]);
  const open: Open = {
    ...context,
    source,
    held,
    signal,
    end,
    after: cursor.after,
    isDelivering: false,
  };
  let isLooking = false;
  const watch = setInterval(() => {
    if (context.isStopping()) return end();
    // one at a time: each that waits for the source's row takes a connection
    if (isLooking) return;
    isLooking = true;
    look(open)
      .catch((thrown: unknown) => end(thrown)) // its own error
      .finally(() => {
        isLooking = false;
      });
  }, LOOK_MS);
  try {
    const deliver = inTurn((page: Page) => deliverPage(open, page));
    const pushing = { signal, http, log, limit: source.limit, deliver };
    await heeding(signal, () => source.open(cursor.after, pushing));
    if (!signal.aborted) end(endedByItself(source.name));
  } catch (thrown) {
    if (!signal.aborted) end(thrown);
  } finally {
    clearInterval(watch);
    over.abort();
  }
  if (fault !== undefined && !context.isStopping()) await failed(open, fault);
}

/** Finds out whether a person has stopped or moved it while nothing is delivered. */
async function look(open: Open): Promise<void> {
  const { executor, held, end, after } = open;
  try {
    const cursor = await sql.pushCursor(executor, held);
    const isAtRest = !open.isDelivering && open.after === after;
    if (cursor === undefined || (isAtRest && cursor.after !== after)) end();
  } catch (thrown) {
    if (isLeaseLost(thrown)) end();
  }
}

async function deliverPage(open: Open, page: Page): Promise<void> {
  const { source, executor, holder, payloadBytesMax, held, end } = open;
  open.isDelivering = true;
  try {
    await room(open);
    const { cursor, limit } = source;
    const checked = checkPage(page, { cursor, after: open.after, limit, payloadBytesMax });
    const counts = await sql.receive(
      executor,
      { ...held, holder },
      {
        window: null,
        after: open.after,
        events: checked.events,
        next: checked.next,
        memo: page.state,
        lag: page.lag ?? null,
        nextMs: 0,
        isAnswer: true,
      },
    );
    if (counts === undefined) throw stopped(source.name);
    open.after = checked.next ?? open.after;
    await open.at?.("stored", source.name);
    if (counts.inserted > 0) open.received(counts.inserted);
  } catch (thrown) {
    end(thrown instanceof Stopped ? undefined : thrown);
    throw thrown;
  } finally {
    open.isDelivering = false;
  }
}

/** Waits while the inbox is full: events that are not taken are not acknowledged, so the source waits too. */
async function room(open: Open): Promise<void> {
  for (;;) {
    open.signal.throwIfAborted();
    const cursor = await sql.pushCursor(open.executor, open.held);
    if (cursor === undefined || cursor.after !== open.after) throw stopped(open.source.name);
    if (cursor.room) return;
    await new Promise((resolve) => setTimeout(resolve, FULL_LOOK_MS));
  }
}

/**
 * A lost delivery is not an unknown outcome: it is opened again at the stored cursor, and only durable events were
 * acknowledged. Only a page that breaks the contract counts as an answer.
 */
async function failed({ executor, held, source, log }: Open, thrown: unknown): Promise<void> {
  if (isLeaseLost(thrown)) throw thrown;
  const { fault, ...rest } = faultOf(thrown);
  const kind = thrown instanceof ContractBroken || fault === "answered" ? "answered" : "unsent";
  const action = await sql.failPush(executor, held, { ...rest, fault: kind });
  const data = { source: source.name, fault: kind, err: rest.error };
  if (action === "hold") log.error(data, `source held: see \`pawl sources show ${source.name}\``);
  else log.warn(data, "a source that delivers by itself failed, it is opened again");
}

class Stopped extends Error {
  override name = "Stopped";
}

function stopped(name: string): Stopped {
  return new Stopped(`source "${name}": stopped or moved by a person; nothing more is taken`);
}

function endedByItself(name: string): SourceUnavailable {
  return new SourceUnavailable(`source "${name}": \`open\` ended although nobody stopped it`, {
    sent: "no",
  });
}

/** Runs the calls one after the other, in their order. */
function inTurn<T>(run: (value: T) => Promise<void>): (value: T) => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  return (value) => {
    const mine = last.then(() => run(value));
    last = mine.catch(() => undefined);
    return mine;
  };
}
