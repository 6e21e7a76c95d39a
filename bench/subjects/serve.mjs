// The child's side of a subject: answers the runner's calls over IPC, one answer for each call.
// argv: module of the subject, its settings as JSON (with `url`).

/** @typedef {{ enqueue(tasks: number): Promise<number>, drain(tasks: number): Promise<number>, check(total: number): Promise<void>, close(): Promise<void> }} Subject */

const [module, settings] = process.argv.slice(2);
const { open } = await import(`./${module}.mjs`);
const subject = await open(JSON.parse(settings));

process.on("message", async ({ call, argument }) => {
  try {
    process.send({ result: await subject[call](argument) });
  } catch (error) {
    process.send({ error: error instanceof Error ? error.stack : String(error) });
  }
});
process.on("disconnect", () => process.exit(1)); // the runner is gone
process.send({ result: "open" });
