/** Logging: the five methods of pino that Pawl calls, so that any pino-compatible logger fits. */

import { printable } from "./errors.ts";

export interface Logger {
  debug(data: object, message: string): void;
  info(data: object, message: string): void;
  warn(data: object, message: string): void;
  error(data: object, message: string): void;
}

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** One JSON object a line on stderr; stdout stays free for data. Logging never throws. */
export function jsonLogger(level: LogLevel, write: (line: string) => void = toStderr): Logger {
  const threshold = LOG_LEVELS.indexOf(level);
  const at = (name: LogLevel) => (data: object, message: string) => {
    if (LOG_LEVELS.indexOf(name) < threshold) return;
    const head = { time: new Date().toISOString(), level: name, msg: message };
    write(`${JSON.stringify({ ...head, ...printable(data), ...head })}\n`);
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

export const silentLogger: Logger = jsonLogger("silent");

function toStderr(line: string): void {
  process.stderr.write(line);
}
