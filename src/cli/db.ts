/** `pawl db`: the embedded PostgreSQL of this folder. What `start` starts runs on when the command has ended. */

import type { Command } from "commander";
import { PawlError } from "../base/errors.ts";
import { embeddedStatus, startEmbedded, stopEmbedded } from "../store/embedded/index.ts";
import { command, does } from "./command.ts";
import { fields, iso } from "./table.ts";

const MEGABYTE = 1_000_000;

export function dbCommand(): Command {
  return command("db", "Start, stop and find the embedded PostgreSQL")
    .addCommand(start())
    .addCommand(stop())
    .addCommand(status())
    .addCommand(url());
}

function start(): Command {
  const made = command("start", "Start it, and leave it running; prints its URL", [
    ['export DATABASE_URL="$(pawl db start)"', "for programs that are not Pawl"],
  ]);
  return does(made, async (call) => {
    const server = await startEmbedded({ log: call.log, keep: true });
    const { dataDir, pid, version, startedHere } = server;
    return { json: { url: server.url, dataDir, pid, version, startedHere }, text: server.url };
  });
}

function stop(): Command {
  const made = command(
    "stop",
    "Stop it; whoever uses it is disconnected, nothing committed is lost",
  );
  return does(made, async () => {
    const result = await stopEmbedded();
    const text = result.stopped ? `stopped (pid ${result.pid})` : "was not running";
    return { json: result, text };
  });
}

function status(): Command {
  const made = command("status", "Say whether it runs, and where its data is; changes nothing");
  return does(made, async () => {
    const found = await embeddedStatus();
    const { sizeBytes } = found;
    const text = fields({
      running: found.running ? "yes" : "no",
      url: found.url,
      data: found.dataDir,
      size: sizeBytes === undefined ? null : `${Math.round(sizeBytes / MEGABYTE)} MB`,
      version: found.version,
      pid: found.pid,
      started: iso(found.startedAt ?? null),
    });
    return { json: found, text };
  });
}

function url(): Command {
  const made = command("url", "Print its URL; fails when it does not run", [
    ['psql "$(pawl db url)"', "look inside"],
  ]);
  return does(made, async () => {
    const found = await embeddedStatus();
    if (found.url === undefined) {
      throw new PawlError(
        "database_unreachable",
        `embedded PostgreSQL of ${found.dataDir}: not running; start it with \`pawl db start\``,
        { data: { dataDir: found.dataDir } },
      );
    }
    return { json: { url: found.url }, text: found.url };
  });
}
