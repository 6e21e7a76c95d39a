/** The command line of the relay. */

import { parseArgs } from "node:util";
import { wholeNumber } from "./local.ts";

const COPIES_MAX = 10_000;

export const USAGE: string = `npm start [-- <options>]
  --once       end when everything is done; exit code 0 if nothing is lost, dead or out of order
  --json       one JSON object as the last line of stdout
  --copies N   the feed N times over, 1 to ${COPIES_MAX} (default 1)
  --help       this text
`;

export interface Options {
  once: boolean;
  json: boolean;
  copies: number;
  help: boolean;
}

/** @throws Error naming the option */
export function readOptions(argv: string[]): Options {
  const { values } = parseArgs({
    args: argv,
    options: {
      once: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      copies: { type: "string", default: "1" },
      help: { type: "boolean", default: false },
    },
  });
  const copies = wholeNumber(values.copies, 1, COPIES_MAX);
  if (copies === undefined) {
    throw new Error(`expected --copies to be from 1 to ${COPIES_MAX}, got ${values.copies}`);
  }
  return { once: values.once, json: values.json, copies, help: values.help };
}
