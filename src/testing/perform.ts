/** One attempt of one new task, in this process. */

import type { Pawl } from "../app/connect.ts";
import { PawlError } from "../base/errors.ts";
import { silentLogger } from "../base/log.ts";
import { runOne } from "../kernel/run-one/run-one.ts";
import { type AnyJob, type JobInput, jobHandler } from "../queue/job.ts";

export async function perform<J extends AnyJob>(
  pawl: Pawl,
  job: J,
  input: JobInput<J>,
): Promise<unknown> {
  const { id, outcome } = await pawl.enqueue(job, input);
  const { app, store } = pawl;
  let thrown: { error: unknown } | undefined;
  const watched: AnyJob = {
    ...job,
    run: async (given, context) => {
      try {
        return await job.run(given, context);
      } catch (error) {
        thrown = { error };
        throw error;
      }
    },
  };
  const queue = app.queues.find(({ name }) => name === job.queue);
  const did = await runOne(id, {
    store,
    handler: { ...jobHandler(watched, queue?.timeoutMs ?? null), queue: job.queue },
    use: app.use,
    application: app.name,
    revision: app.revision,
    resultBytesMax: app.maxPayloadBytes,
    log: silentLogger,
    stop: new Promise(() => undefined),
  });
  if (thrown !== undefined) throw thrown.error;
  if (did.did === "run" && did.outcome.ok) {
    const { result } = did.outcome;
    return result === null ? undefined : JSON.parse(result);
  }
  const failed = did.did === "run" && !did.outcome.ok ? did.outcome.error?.message : undefined;
  const held = `it was not run: it is held, running, or has ended (enqueue: ${outcome})`;
  throw new PawlError(
    "invalid_option",
    `perform: task ${id} of job "${job.name}": ${failed ?? held}`,
  );
}
