/** `pawl db`: the embedded PostgreSQL of this folder. The server that `start` starts goes on running when the command ends. */

import type { Command } from "commander";
import { PawlError } from "../base/errors.ts";
import { fields, iso } from "../operate/table.ts";
import {
  embeddedDirIn,
  embeddedStatus,
  startEmbedded,
  stopEmbedded,
} from "../store/embedded/index.ts";
import { type Call, command, does, placeOrDefault } from "./command.ts";

const MEGABYTE = 1_000_000;

export function dbCommand(): Command {
  return command("db", "Start, stop and find the embedded PostgreSQL")
    .addCommand(start())
    .addCommand(stop())
    .addCommand(status())
    .addCommand(url());
}

function start(): Command {
  const made = command(
    "start",
    "Start the embedded PostgreSQL and leave it running; prints its URL",
    [['export DATABASE_URL="$(pawl db start)"', "for programs that are not Pawl"]],
  );
  return does(made, async (call) => {
    const server = await startEmbedded({ dir: await dirOf(call), log: call.log, keep: true });
    const { dataDir, pid, version, startedHere } = server;
    return {
      json: { url: server.url, dataDir, pid, version, startedHere },
      text: server.url,
      isToUse: true,
    };
  });
}

function stop(): Command {
  const made = command(
    "stop",
    "Stop the embedded PostgreSQL; its clients are disconnected, nothing committed is lost",
  );
  return does(made, async (call) => {
    const result = await stopEmbedded({ dir: await dirOf(call) });
    const text = result.stopped ? `stopped (pid ${result.pid})` : "was not running";
    return { json: result, text };
  });
}

function status(): Command {
  const made = command(
    "status",
    "Say whether the embedded PostgreSQL runs, and where its data is; changes nothing",
  );
  return does(made, async (call) => {
    const found = await embeddedStatus({ dir: await dirOf(call) });
    const { sizeBytes } = found;
    const values = {
      running: found.running ? "yes" : "no",
      url: found.url,
      data: found.dataDir,
      size: sizeBytes === undefined ? null : `${Math.round(sizeBytes / MEGABYTE)} MB`,
      version: found.version,
      pid: found.pid,
      started: iso(found.startedAt ?? null),
    };
    const text = fields(values, undefined, true);
    return { json: found, text, isToUse: true };
  });
}

function url(): Command {
  const made = command(
    "url",
    "Print the URL of the embedded PostgreSQL; fails if it does not run",
    [['psql "$(pawl db url)"', "look inside"]],
  );
  return does(made, async (call) => {
    const found = await embeddedStatus({ dir: await dirOf(call) });
    if (found.url === undefined) {
      throw new PawlError(
        "database_unreachable",
        `embedded PostgreSQL of ${found.dataDir}: not running; start it with \`pawl db start\``,
        { data: { dataDir: found.dataDir } },
      );
    }
    return { json: { url: found.url }, text: found.url, isToUse: true };
  });
}

/** The same folder that the app's code uses. These commands work even if the config cannot be loaded. */
async function dirOf(call: Call): Promise<string> {
  return embeddedDirIn((await placeOrDefault(call)).root);
}
