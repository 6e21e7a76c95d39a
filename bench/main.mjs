// Runs the named benchmark: progress on stderr, results on stdout.
import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { subjectNode } from "./child.mjs";
import { crowd } from "./crowd.mjs";
import { inbox } from "./inbox.mjs";
import { lanes } from "./lanes.mjs";
import { idle, late } from "./late.mjs";
import { latency } from "./latency.mjs";
import { limits } from "./limits.mjs";
import { people } from "./people.mjs";
import { pinned } from "./pinned.mjs";
import { processes } from "./process.mjs";
import { queue } from "./queue.mjs";
import { table } from "./report.mjs";
import { openServer } from "./server.mjs";
import { relay, webhooks } from "./webhooks.mjs";

const BENCHMARKS = {
  queue,
  pinned,
  lanes,
  latency,
  limits,
  crowd,
  webhooks,
  relay,
  inbox,
  people,
  late,
  idle,
  process: processes,
};
const QUEUE_TASKS = 100_000;
const ROUNDS_MIN = 3;
const INTERRUPTED = 130;
const USAGE = `usage: npm run bench -- <${Object.keys(BENCHMARKS).join("|")}> [--json] [--tasks N] [--rounds N] [--turns N] [--slots N] [--shards N] [--processes N] [--only PATTERN] [--scale N]`;

/** Answers the exit code. */
export async function main(argv) {
  const options = optionsOf(argv);
  if (options === undefined) return 2;
  const say = (line) => process.stderr.write(`${line} (load ${load()})\n`);
  subjectNode();
  const server = await openServer();
  const stop = () => server.close().finally(() => process.exit(INTERRUPTED));
  process.once("SIGINT", stop).once("SIGTERM", stop);
  try {
    say(
      `PostgreSQL ${server.version}${server.isEmbedded ? " (embedded)" : ""}, ${cpus().length} processors`,
    );
    const rows = await BENCHMARKS[options.name]({ ...options, server, say });
    process.stdout.write(`${options.json ? JSON.stringify(rows) : table(rows)}\n`);
    return 0;
  } finally {
    await server.close();
  }
}

function optionsOf(argv) {
  try {
    const { values, positionals } = parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        json: { type: "boolean", default: false },
        tasks: { type: "string" },
        rounds: { type: "string" },
        turns: { type: "string" },
        slots: { type: "string" },
        shards: { type: "string" },
        processes: { type: "string" },
        only: { type: "string" },
        scale: { type: "string", default: "1" },
      },
    });
    const [name, ...others] = positionals;
    if (others.length > 0 || !Object.hasOwn(BENCHMARKS, name ?? ""))
      throw new Error(`expected one benchmark, got ${JSON.stringify(positionals)}`);
    return {
      name,
      json: values.json,
      tasks: whole("tasks", values.tasks) ?? (name === "queue" ? QUEUE_TASKS : undefined),
      rounds: whole("rounds", values.rounds) ?? ROUNDS_MIN,
      slots: whole("slots", values.slots),
      shards: whole("shards", values.shards),
      processes: whole("processes", values.processes),
      only: new RegExp(values.only ?? ""),
      scale: share("scale", values.scale),
      turns: values.turns === undefined ? {} : { turns: whole("turns", values.turns) },
    };
  } catch (error) {
    process.stderr.write(`bench: ${error.message}\n${USAGE}\n`);
    return undefined;
  }
}

function whole(name, text) {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new Error(`expected \`--${name}\` to be an integer from 1, got ${JSON.stringify(text)}`);
}

function share(name, text) {
  const value = Number(text);
  if (value > 0 && value <= 1) return value;
  throw new Error(
    `expected \`--${name}\` to be above 0 and at most 1, got ${JSON.stringify(text)}`,
  );
}

function load() {
  return loadavg()[0].toFixed(1);
}
