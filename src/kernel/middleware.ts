/**
 * Functions of the app around every handler: jobs, deliveries, requests and runs of processes alike. They see an attempt, and may fail it; the
 * result is always the handler's own, and what a run of a process has recorded stands.
 */

import { PawlError } from "../base/errors.ts";
import { isA } from "../base/thrown.ts";
import type { HandlerContext, TaskContext, TaskHandler } from "./task.ts";
import { Advance, UnderPolicy } from "./thrown.ts";

type OfTask =
  | "taskId"
  | "kind"
  | "queue"
  | "attempt"
  | "idempotencyKey"
  | "createdAt"
  | "meta"
  | "ref"
  | "signal"
  | "log";

/** What a middleware sees of an attempt. */
export type AttemptContext = Pick<TaskContext, OfTask>;

/**
 * Called for every attempt, with the task and a function that goes on to the next middleware, at last to the handler. Call `next` once, and
 * await it. It rejects with what the handler threw. Throw to fail the attempt: instead of the handler, before `next`, or with another error,
 * after it. What is returned does not count. Its time is part of the attempt's `timeout`.
 */
export type Middleware = (task: AttemptContext, next: () => Promise<unknown>) => unknown;

/** The handler with these around it, the first of them outermost. */
export function around<Handler extends TaskHandler>(
  handler: Handler,
  use: readonly Middleware[],
): Handler {
  if (use.length === 0) return handler;
  return { ...handler, run: (payload, context) => runThrough(handler, use, payload, context) };
}

async function runThrough(
  handler: TaskHandler,
  use: readonly Middleware[],
  payload: unknown,
  context: HandlerContext,
): Promise<unknown> {
  let stands: (() => unknown) | undefined;
  const throws = (thrown: unknown) => () => {
    throw thrown;
  };
  const handled = async (): Promise<unknown> => {
    context.signal.throwIfAborted(); // it may have ended while a middleware waited
    try {
      const result = await handler.run(payload, context);
      if (handler.hasLastWord === true) stands = () => result;
      return result;
    } catch (thrown) {
      if (handler.hasLastWord === true || isA(thrown, Advance)) stands = throws(thrown);
      if (isA(thrown, Advance)) return undefined; // it got on: nothing has failed
      throw isA(thrown, UnderPolicy) ? thrown.cause : thrown;
    }
  };
  const result = step(0);
  await attempt(() => result);
  return stands === undefined ? result : stands();

  async function step(place: number): Promise<unknown> {
    const one = use[place];
    if (one === undefined) return handled();
    let inner: Promise<unknown> | undefined;
    let isOver = false;
    const next = (): Promise<unknown> => {
      if (isOver) return refused(misused(handler, place, "called `next` after it had returned"));
      if (inner !== undefined) throw misused(handler, place, "called `next` twice; call it once");
      inner = step(place + 1);
      inner.catch(() => undefined); // awaited below
      return inner;
    };
    const failed = await attempt(() => one(context, next));
    isOver = true;
    if (inner === undefined) {
      if (failed !== undefined) throw failed.error;
      throw misused(
        handler,
        place,
        "returned without calling `next`; throw to fail the attempt, such as `RetryAfter` or `Unrecoverable`",
      );
    }
    await attempt(() => inner); // whether the middleware has awaited it or not
    if (failed !== undefined) throw failed.error;
    return inner;
  }
}

/** Nobody may be left to hear it. */
function refused(error: PawlError): Promise<never> {
  const rejected = Promise.reject(error);
  rejected.catch(() => undefined);
  return rejected;
}

/** Returns what it throws. */
async function attempt(work: () => unknown): Promise<{ error: unknown } | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return { error };
  }
}

function misused({ kind }: TaskHandler, place: number, what: string): PawlError {
  return new PawlError(
    "middleware_misused",
    `task of ${kind}: \`use[${place}]\` of the app ${what}`,
  );
}
