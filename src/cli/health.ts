/** `pawl health`: asks the worker of this host on its health port, for probes that run a command. */

import type { Command } from "commander";
import { PawlError } from "../base/errors.ts";
import { messageOf, read } from "../base/thrown.ts";
import type { ValueOf } from "../options/field.ts";
import { flag } from "../options/kinds.ts";
import { type Call, command, takes } from "./command.ts";
import { HEALTH_HOST, healthFields, healthPort } from "./health-options.ts";
import type { Answer } from "./output.ts";

const ANSWER_MS = 5_000;

const HEALTH = {
  live: flag("ask whether its process answers (default: --ready)"),
  ready: flag("ask whether it has a lease and takes work"),
  ...healthFields(1),
};

const AFTER_HELP = `
The worker must have been started with the same --health-port or PAWL_HEALTH_PORT. The exit code is 0 if it is as asked,
1 if it is not or nothing answers. Restart a worker that is not live; one that is not ready may be waiting for the database.`;

export function healthCommand(): Command {
  const made = command("health", "Ask the worker of this host whether it is live or ready", [
    ["pawl health --live --health-port 8180", "for a probe: restart it when this fails"],
    ["pawl health --ready --json", "with PAWL_HEALTH_PORT; a rollout waits until this succeeds"],
  ]).addHelpText("after", AFTER_HELP);
  return takes(made, HEALTH, ask);
}

async function ask(_call: Call, options: ValueOf<typeof HEALTH>): Promise<Answer> {
  const { live = false, ready = false, healthHost: host = HEALTH_HOST } = options;
  if (live && ready)
    throw new PawlError("invalid_option", "health: expected --live or --ready, got both");
  const port = healthPort(options);
  if (port === undefined)
    throw new PawlError(
      "invalid_option",
      "health: no port of a worker; give --health-port or set PAWL_HEALTH_PORT, as for `pawl work`",
    );
  const what = live ? "live" : "ready";
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${port}/${what}`;
  const { isOk, reason } = await fetched(url);
  if (isOk) return { json: { status: what }, text: what };
  throw new PawlError(`worker_not_${what}`, `worker at ${host}:${port}: not ${what}: ${reason}`, {
    data: { port, reason },
  });
}

async function fetched(url: string): Promise<{ isOk: boolean; reason: string }> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) });
    const body: unknown = await response.json();
    return { isOk: response.ok, reason: reasonOf(body, response.status) };
  } catch (error) {
    return { isOk: false, reason: messageOf(read(error, "cause") ?? error) };
  }
}

/** Another program may have the port. */
function reasonOf(body: unknown, status: number): string {
  const reason = read(body, "reason");
  return typeof reason === "string" ? reason : `HTTP status ${status}`;
}
