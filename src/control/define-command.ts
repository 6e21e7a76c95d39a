/** A command is a named operation that never runs twice at once; each of its parameters counts on its own. */

import { DURATION_MS_MAX, type Duration, TIMER_MS_MAX } from "../base/duration.ts";
import { PawlError, shown } from "../base/errors.ts";
import {
  type FieldsOf,
  field,
  named,
  readOptions,
  required,
  withDefault,
} from "../options/field.ts";
import { choice, duration, func, lowerName, text } from "../options/kinds.ts";
import { list } from "../options/parts.ts";
import type { CommandContext } from "./context.ts";

const PARAM = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$/;
/** `all.disabled` and `all-commands.disabled` hold everything. */
const FILES_OF_ALL = ["all", "all-commands"];
const TITLE_CHARS_MAX = 200;

/** `expire`: the lock of a process that died is free after 30 s. `hold`: until an operator releases it. */
export type OnCrash = "expire" | "hold";

export interface CommandOptions<Param extends string | number = never> {
  /** Must be unique in the app. Lower-case letters, digits, `_`, `.` and `-`: it is also the name of a file that turns it off. */
  name: string;
  /** For operators; default: the name. */
  title?: string;
  /** What it can run for, such as services: each has a lock and a status of its own, and may run beside the others. */
  params?: readonly Param[];
  run: (context: CommandContext<[Param] extends [never] ? undefined : Param>) => unknown;
  /** How long a run takes; one that takes longer is flagged. Default: the usual time of its last runs, of which twice as long is flagged. */
  expected?: Duration;
  /** Whether its lock stays when its process dies; default `expire`. */
  onCrash?: OnCrash;
  /** After this time the run's signal aborts. Default: never. */
  timeout?: Duration;
}

export interface Command {
  readonly name: string;
  readonly title: string;
  /** Empty: it has none. */
  readonly params: readonly (string | number)[];
  readonly run: (context: CommandContext<never>) => unknown;
  readonly expectedMs: number | null;
  readonly onCrash: OnCrash;
  readonly timeoutMs: number | null;
}

const param = field<string | number>({
  kind: "param",
  help: "a parameter",
  shape: "param",
  expected:
    'a text of 1 to 60 letters, digits, "_", "." and "-" that begins with a letter or a digit, or a number that is written so',
  read: (given) => {
    const isParam = typeof given === "string" || Number.isFinite(given);
    return isParam && PARAM.test(String(given)) ? (given as string | number) : undefined;
  },
});

type AnyOptions = CommandOptions<string | number>;

const FIELDS = {
  name: required(lowerName(FILES_OF_ALL)),
  title: text("for operators", "text", TITLE_CHARS_MAX),
  params: list(param, { help: "what it can run for" }),
  run: required(func<AnyOptions["run"]>("of the command's context")),
  expected: duration({ help: "how long a run takes", minMs: 1, maxMs: DURATION_MS_MAX }),
  onCrash: withDefault("expire", choice(["expire", "hold"])),
  timeout: duration({ help: "the longest run", minMs: 1, maxMs: TIMER_MS_MAX }),
} satisfies FieldsOf<AnyOptions>;

/**
 * Defines a command.
 *
 * @throws PawlError `invalid_option`, `duplicate_name`
 */
export function defineCommand<const Param extends string | number = never>(
  options: CommandOptions<Param>,
): Command {
  const where = named("defineCommand", "command", options);
  const { expected, timeout, params = [], ...read } = readOptions(where, FIELDS, options);
  const twice = params.find((one, i) => params.findIndex((other) => `${other}` === `${one}`) < i);
  if (twice !== undefined) {
    throw new PawlError(
      "duplicate_name",
      `${where}: \`params\` has ${shown(twice)} twice, as it is written; give each once`,
    );
  }
  return Object.freeze({
    name: read.name,
    title: read.title ?? read.name,
    params: Object.freeze(params),
    run: read.run,
    expectedMs: expected ?? null,
    onCrash: read.onCrash,
    timeoutMs: timeout ?? null,
  });
}

/** Also one that another copy of the package has made. */
export function isCommand(value: unknown): value is Command {
  const { name, run, params, onCrash } = (value ?? {}) as Partial<Record<keyof Command, unknown>>;
  const isNamed = typeof name === "string" && typeof onCrash === "string";
  return isNamed && typeof run === "function" && Array.isArray(params);
}

/** What runs apart from all else: `get-orders`, or `import:service1`. */
export function commandKey(name: string, param: string | number | undefined): string {
  return param === undefined ? name : `${name}:${param}`;
}
