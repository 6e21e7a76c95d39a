/** A run that is to be started, checked and as JSON text. */

import { jsonForm, toJson } from "../base/json.ts";
import { checkInput } from "../options/schema.ts";
import { nameJson } from "../queue/enqueue.ts";
import type { Startable } from "./step.ts";

export interface RunToStart {
  bytesMax: number;
  /** What the app's functions gave, or the call; checked here. Without: what the process's functions give. */
  key?: unknown;
  lane?: unknown;
  runAt?: Date | undefined;
  priority?: number | undefined;
  meta?: Record<string, unknown> | null | undefined;
  /** Instead of `meta`: as JSON text that was checked before. */
  metaText?: string;
  /** The input as JSON text, if it was checked before. */
  inputText?: string | undefined;
}

export interface RunText {
  text: string;
  /** A start with a key may wait for a transaction that has it. */
  isKeyed: boolean;
}

/** @throws PawlError `invalid_payload`, `payload_not_json`, `payload_too_large`, `invalid_option` for a key or lane */
export async function runJson(
  process: Startable,
  input: unknown,
  { bytesMax, key, lane, runAt, priority, meta, metaText, inputText }: RunToStart,
): Promise<RunText> {
  const where = `process "${process.name}"`;
  const text = await checkedInput(process, input, { bytesMax, inputText });
  const chosenKey = key ?? process.key?.(input as never);
  const chosenLane = lane ?? process.lane?.(input as never);
  const kept =
    meta === undefined || meta === null
      ? metaText
      : toJson(meta, { what: `meta of ${where}`, bytesMax });
  const fields = [
    `"process":${JSON.stringify(process.name)},"version":${process.version},"input":${text}`,
    ...(chosenKey === undefined ? [] : [`"key":${nameJson(where, "key", chosenKey)}`]),
    ...(chosenLane === undefined ? [] : [`"lane":${nameJson(where, "lane", chosenLane)}`]),
    ...(runAt === undefined ? [] : [`"run_at":"${runAt.toISOString()}"`]),
    ...(priority === undefined ? [] : [`"priority":${priority}`]),
    ...(kept === undefined ? [] : [`"meta":${kept}`]),
  ];
  return { text: `{${fields.join(",")}}`, isKeyed: chosenKey !== undefined };
}

/** What the schema checks is what JSON makes of the input, since that is what the steps get. */
async function checkedInput(
  { name, input: schema }: Startable,
  input: unknown,
  { bytesMax, inputText }: Pick<RunToStart, "bytesMax" | "inputText">,
): Promise<string> {
  const what = `process "${name}"`;
  const { text, isSame } =
    inputText === undefined
      ? jsonForm(input, { what: `input of ${what}`, bytesMax })
      : { text: inputText, isSame: true };
  await checkInput({ what, kind: name, schema }, isSame ? input : JSON.parse(text), isSame);
  return text;
}
