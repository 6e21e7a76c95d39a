/** stdout carries the result and nothing else; stderr carries everything else. */

import { PawlError, toError } from "../base/errors.ts";

const LINE_MS = 10_000;

export interface Answer {
  /** The result for programs: one JSON document. */
  json: unknown;
  /** The same for people. */
  text: string;
}

export interface Shape {
  json: boolean;
  verbose: number;
}

export function printAnswer(answer: Answer, json: boolean): void {
  const text = json ? JSON.stringify(answer.json, null, 2) : printable(answer.text);
  process.stdout.write(`${text}\n`);
}

/** With `--json` on stdout, as `{"error": {"code", "message", "data"}}`; else one line on stderr. */
export function printError(thrown: unknown, { json, verbose }: Shape): void {
  const error = toError(thrown);
  if (json) {
    // an error without a code is a fault of Pawl or of the app
    const known =
      error instanceof PawlError ? error : { code: null, message: error.message, data: {} };
    process.stdout.write(`${JSON.stringify({ error: known }, null, 2)}\n`);
  } else {
    process.stderr.write(`pawl: ${printable(error.message)}\n`);
  }
  if (verbose > 0) process.stderr.write(`${printable(traceOf(error))}\n`);
  else if (!json && !(error instanceof PawlError)) process.stderr.write("pawl: -v shows where\n");
}

/** Shows how far long work is, where a person watches. */
export function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

export function endProgress(): void {
  progress("");
}

/** The same, and where nobody watches a line at first and then every 10 s. */
export function progressLines(): (text: string) => void {
  let writtenAt = Number.NEGATIVE_INFINITY;
  return (text) => {
    if (process.stderr.isTTY) progress(printable(text));
    else if (performance.now() - writtenAt >= LINE_MS) {
      writtenAt = performance.now();
      process.stderr.write(`pawl: ${printable(text)}\n`);
    }
  };
}

/** A reader that goes away early (`| head`) is no error. */
export function guardOutput(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit();
    throw error;
  });
  process.stderr.on("error", () => undefined);
}

export async function finishOutput(): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) {
    await new Promise<void>((resolve) => stream.write("", () => resolve()));
  }
}

/** Text that came from elsewhere must not steer the terminal. */
function printable(text: string): string {
  return text.replace(/(?![\n\t])\p{Cc}/gu, "\ufffd");
}

function traceOf(error: Error): string {
  const stack = error.stack ?? error.message;
  return error.cause === undefined
    ? stack
    : `${stack}\ncaused by: ${traceOf(toError(error.cause))}`;
}
