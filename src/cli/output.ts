/** stdout carries the result and nothing else; stderr carries everything else. URLs and tokens in both are masked. */

import { PawlError, toError } from "../base/errors.ts";
import { indentedJson } from "../base/json-indent.ts";
import { exactJson } from "../base/json-text.ts";
import { maskText } from "../base/mask.ts";
import { maskJson } from "../base/mask-json.ts";
import { withoutSteering } from "../base/steering.ts";

const LINE_MS = 10_000;
export interface Answer {
  /** The result for programs: one JSON document. */
  json: unknown;
  /** The same for people. */
  text: string;
  /** The result is something to use, such as a URL to connect to or SQL to run: nothing in it is masked. */
  isToUse?: true;
}

export interface Shape {
  json: boolean;
  verbose: number;
}

export function printAnswer(answer: Answer, json: boolean): void {
  const { isToUse = false } = answer;
  const text = json ? jsonText(answer.json, isToUse) : printable(answer.text, isToUse);
  process.stdout.write(`${text}\n`);
}

/** With `--json` on stdout, as `{"error": {"code", "message", "data"?}}`; else one line on stderr. */
export function printError(thrown: unknown, { json, verbose }: Shape): void {
  const error = toError(thrown);
  if (json) {
    // an error without a code is a fault of Pawl or of the app
    const known = error instanceof PawlError ? error : { code: null, message: error.message };
    process.stdout.write(`${jsonText({ error: known })}\n`);
  } else {
    process.stderr.write(`pawl: ${printable(error.message)}\n`);
  }
  if (verbose > 0) process.stderr.write(`${printable(traceOf(error))}\n`);
  else if (!json && !(error instanceof PawlError)) process.stderr.write("pawl: -v shows where\n");
}

/** Prints a note for people beside the result. */
export function note(text: string): void {
  process.stderr.write(`pawl: ${printable(text)}\n`);
}

/** Shows the progress of long work, if a person watches. */
export function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${printable(text)}`);
}

export function endProgress(): void {
  progress("");
}

/** The same; if nobody watches, prints a line at first and then every 10 s. */
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

/** Exact texts keep every digit; characters that control a terminal are escaped, which does not change the JSON. */
function jsonText(value: unknown, isToUse = false): string {
  const json = exactJson(value);
  return withoutSteering(indentedJson(isToUse ? json : maskJson(json)));
}

/** Foreign text must not control the terminal or turn the direction of writing. */
function printable(text: string, isToUse = false): string {
  return withoutSteering(isToUse ? text : maskText(text));
}

function traceOf(error: Error): string {
  const stack = error.stack ?? error.message;
  return error.cause === undefined
    ? stack
    : `${stack}\ncaused by: ${traceOf(toError(error.cause))}`;
}
