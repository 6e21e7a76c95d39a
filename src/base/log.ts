/** Logging: the five methods of pino that Pawl calls, so that any pino-compatible logger fits. */

import { PawlError, printable, shown } from "./errors.ts";
import { jsonInParts } from "./json-parts.ts";
import { maskText } from "./mask.ts";
import { maskJson } from "./mask-json.ts";
import { withoutSteering } from "./steering.ts";
import { didYouMean } from "./suggest.ts";
import { unheard } from "./unheard.ts";

export interface Logger {
  debug(data: object, message: string): void;
  info(data: object, message: string): void;
  warn(data: object, message: string): void;
  error(data: object, message: string): void;
}

/** That of `jsonLogger` at level `trace`: it also takes each statement that is sent to the database. */
export interface TracingLogger extends Logger {
  trace?(data: object, message: string): void;
}

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Returns a logger that writes one JSON object per line to stderr; stdout stays free for data. Logging never throws. */
export function jsonLogger(level: LogLevel, write: (line: string) => void = toStderr): Logger {
  const threshold = LOG_LEVELS.indexOf(level);
  const at = (name: LogLevel) => (data: object, message: string) => {
    if (LOG_LEVELS.indexOf(name) < threshold) return;
    const head = { time: new Date().toISOString(), level: name, msg: message };
    write(`${withoutSteering(lineOf(head, data))}\n`);
  };
  const log = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  const tracing: TracingLogger = { ...log, trace: at("trace") };
  return level === "trace" ? tracing : log;
}

/**
 * Wraps a user's logger: whatever it throws or rejects with is ignored. The text of an error is masked; everything else is
 * unchanged.
 */
export function safeLogger(log: Logger): Logger {
  const at = (level: keyof Logger) => (data: object, message: string) => {
    unheard(() => {
      const { err } = data as { err?: unknown };
      const told = typeof err === "string" ? { ...data, err: maskText(err) } : data;
      return log[level](told, message);
    });
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

export const silentLogger: Logger = jsonLogger("silent");

/** Values are shortened, because an error's text may have any length. URLs and tokens are masked. */
function lineOf(head: object, data: object): string {
  try {
    return maskJson(jsonInParts({ ...head, ...printable(data), ...head }) ?? "");
  } catch {
    return maskJson(JSON.stringify({ ...head, data: shown(data) }));
  }
}

function toStderr(line: string): void {
  process.stderr.write(line);
}

/** `PAWL_LOG_LEVEL`; empty is as not set. @throws PawlError `invalid_environment` */
export function logLevel(): LogLevel {
  const level = process.env.PAWL_LOG_LEVEL || "info";
  const known = LOG_LEVELS.find((one) => one === level);
  if (known !== undefined) return known;
  throw new PawlError(
    "invalid_environment",
    `PAWL_LOG_LEVEL: expected one of ${LOG_LEVELS.join(", ")}, got ${shown(level)}; ${didYouMean(level, LOG_LEVELS)}`,
  );
}
