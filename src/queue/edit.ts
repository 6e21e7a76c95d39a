/** A job's task with a payload that an operator has edited: checked as `enqueue` checks it, with the key, lane and limit key that it means. */

import { PawlError, shown } from "../base/errors.ts";
import { didYouMean } from "../base/suggest.ts";
import type { EditJob } from "../kernel/operator/tasks/tasks.ts";
import { nameJson, payloadTexts } from "./enqueue.ts";
import type { AnyJob } from "./job.ts";
import type { JobsOf } from "./write.ts";

type NameOf = ((input: never) => string | undefined) | null;

/** @throws PawlError `unknown_kind`, `invalid_payload`, `payload_not_json`, `payload_too_large` */
export function editJobOf({ jobs, maxPayloadBytes }: JobsOf): EditJob {
  return async (task, payload) => {
    const job = jobs.find(({ name, queue }) => name === task.kind && queue === task.queue);
    if (job === undefined) throw noJob(task.kind, jobs);
    const [payloadText = ""] = await payloadTexts(job, [payload], { bytesMax: maxPayloadBytes });
    const inputs = { before: task.payload, after: JSON.parse(payloadText) as unknown };
    return {
      payloadText,
      key: again(job, "key", job.key, { old: task.key, ...inputs }),
      lane: again(job, "lane", job.lane, { old: task.lane, ...inputs }),
      limitKey: again(job, "limitKey", job.limitKey, { old: task.limitKey, ...inputs }),
    };
  };
}

/** What the job's function makes of the new payload, if it made the old name too; one that `enqueue` was given stays. */
function again(
  job: AnyJob,
  option: "key" | "lane" | "limitKey",
  nameOf: NameOf,
  { old, before, after }: { old: string | null; before: unknown; after: unknown },
): string | null {
  if (nameOf === null || (old !== null && madeOf(nameOf, before) !== old)) return old;
  const name = nameOf(after as never);
  return name === undefined
    ? null
    : (JSON.parse(nameJson(`job "${job.name}"`, option, name)) as string);
}

function madeOf(nameOf: NonNullable<NameOf>, before: unknown): string | undefined {
  try {
    return nameOf(before as never);
  } catch {
    return undefined; // the old payload may not fit
  }
}

function noJob(kind: string, jobs: readonly AnyJob[]): PawlError {
  const names = jobs.map((job) => job.name);
  return new PawlError(
    "unknown_kind",
    `${shown(kind)} is no job of this app, so its payload cannot be checked; ${didYouMean(kind, names)}`,
    { data: { value: kind } },
  );
}
