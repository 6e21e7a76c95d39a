/** What a job's thread and the process that started it send each other. One task at a time is in a thread. */

import type { Logger } from "../../base/log.ts";
import { isErrorLike, messageOf, read } from "../../base/thrown.ts";
import type { AttemptContext } from "../../kernel/middleware.ts";
import type { TaskContext } from "../../kernel/task.ts";

const CAUSES_MAX = 5;

/** What of the context a thread has: no transaction, and no signal, since the thread is ended instead. */
export type ThreadContext = Omit<AttemptContext, "signal"> & Pick<TaskContext, "progress">;

export interface Start {
  /** Of this attempt. What a thread says of another one, late, is dropped. */
  readonly no: number;
  readonly input: unknown;
  readonly context: Omit<ThreadContext, "progress" | "log">;
}

export type Said = { readonly no: number } & Word;

export type Word =
  | { readonly what: "done"; readonly result: unknown }
  | { readonly what: "failed"; readonly error: SentError }
  /** JSON. */
  | { readonly what: "progress"; readonly json: string }
  | {
      readonly what: "log";
      readonly level: keyof Logger;
      readonly data: object;
      readonly message: string;
    };

/** An error whose own class the other side does not have: what decides about the task is kept. */
interface SentError {
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  readonly code?: string;
  readonly delayMs?: number;
  /** JSON. */
  readonly data?: string;
  readonly cause?: SentError;
}

export function toSent(thrown: unknown, causes = 0): SentError {
  const [name, stack, code, delayMs, cause] = ["name", "stack", "code", "delayMs", "cause"].map(
    (field) => read(thrown, field),
  );
  const data = jsonOf(read(thrown, "data"));
  return {
    name: isErrorLike(thrown) && typeof name === "string" ? name : "Error",
    message: messageOf(thrown),
    ...(typeof stack === "string" && { stack }),
    ...(typeof code === "string" && { code }),
    ...(typeof delayMs === "number" && { delayMs }),
    ...(data !== undefined && { data }),
    ...(isErrorLike(cause) && causes < CAUSES_MAX && { cause: toSent(cause, causes + 1) }),
  };
}

/** Recognized by its name, as errors of another realm are. */
export function toError({ message, cause, data, ...fields }: SentError): Error {
  const error = new Error(message, cause === undefined ? {} : { cause: toError(cause) });
  return Object.assign(error, fields, data !== undefined && { data: JSON.parse(data) as unknown });
}

function jsonOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}
