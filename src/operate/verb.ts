/**
 * A verb is something an operator can ask or do, declared once. The command line, `pawl.<noun>.<verb>(…)` and the audit are
 * made from it. Rules are in the verb's `run`, so they hold however it is called.
 */

import type { ErrorCode } from "../base/error-codes.ts";
import { PawlError } from "../base/errors.ts";
import {
  type AnyField,
  type Field,
  type Fields,
  type GivenOf,
  type GivenOne,
  readOptions,
  type ValueOf,
} from "../options/field.ts";
import { name, notBlank } from "../options/kinds.ts";
import type { Store } from "../store/store.ts";
import type { Act } from "./sql.ts";
import { type Column, table } from "./table.ts";

/** What every verb gets. Verbs of a part may need more, such as the app's destinations. */
export interface Desk {
  store: Store;
  /**
   * Reports progress of long work, such as `retry: 2000 of 5000`; or, as `waiting`, what it waits for. An empty text ends it. A `line`
   * stays.
   */
  report: (text: string, kind?: "waiting" | "line") => void;
}

/** Who calls a verb, and how messages name the call and its options. */
export interface Calling extends Act {
  /** The verb as declared, such as `dead.retry`. */
  action: string;
  /** How messages name the call: the verb, or `pawl dead retry`. */
  where: string;
  /** "`dryRun`", or `--dry-run`. */
  label: (option: string) => string;
}

/** The result for programs and for people. */
export interface Answer {
  /** One JSON document. */
  json: unknown;
  text: string;
  /** The result is meant for use, such as a URL to connect to: nothing in it is masked. */
  isToUse?: true;
  /** The command line prints the result, and ends with this error. */
  failure?: PawlError;
}

export type Examples = readonly (readonly [line: string, what: string])[];

/** What a command line can ask the person who types. */
export interface Terminal {
  /** Prints a note beside the result. */
  note: (text: string) => void;
  /** Reads one line without echo. @throws PawlError `invalid_option` if there is none */
  readSecret: (what: string) => Promise<string>;
  /** Reads all piped input, such as a key of several lines, without the last line end; undefined if nothing is piped. */
  readPiped: () => Promise<string | undefined>;
  /** Lets the person edit a text in their editor. `suffix`: of the file, such as `.json`. @throws PawlError `invalid_option` */
  edit: (text: string, suffix: string) => Promise<string>;
}

/** What a person has to confirm. */
export interface Refusal {
  text: string;
  /** For `--json`, such as how many are lost. */
  data?: object;
}

/** What the reader of typed input can use. */
export interface TypedBy<B> {
  /** Opens the database if it is not open yet. Refuse first what can be refused without it. */
  base: () => Promise<B>;
  calling: Calling;
  terminal: Terminal;
}

/** How a verb is typed if code passes an object: arguments and flags, and the input that they mean. */
export interface Form<B, F extends Fields, T extends Fields> {
  input: T;
  /** Positional arguments, in order. Only the last may take several values. */
  args?: readonly (keyof T & string)[];
  given(typed: ValueOf<T>, by: TypedBy<B>): GivenOf<F> | Promise<GivenOf<F>>;
}

type None = Readonly<Record<never, never>>;

export interface VerbSpec<
  B,
  F extends Fields,
  A extends readonly (keyof F & string)[],
  R,
  T extends Fields = None,
> {
  /** What it does: one sentence without a full stop. */
  help: string;
  /** Further paragraphs of the help. */
  more?: string;
  examples?: Examples;
  input: F;
  /** Inputs with a position instead of a name, in order. Only the last may take several values. */
  args?: A;
  /** The same for the command line, if it differs there. */
  typedArgs?: readonly (keyof F & string)[];
  /** What is typed on the command line instead. */
  form?: Form<B, F, T>;
  /** It changes something, or sends something out: it takes `by` and `why`, and is recorded in the audit. */
  changes?: boolean;
  /** `why` is required: the help says so, and a missing or blank one is refused. */
  isWhyRequired?: boolean;
  /** The command line runs it even if the config cannot be loaded: its result does not depend on one. */
  isTolerant?: boolean;
  /** It does not use the database: the command line opens none. */
  isOffline?: boolean;
  /** It runs the app's code: the command line refuses it without a config. */
  needsApp?: boolean;
  /** On the command line: runs if only the noun is given, as in `pawl sources`. */
  isDefault?: boolean;
  /** On the command line: the verb of the same noun that runs if the first argument is left out. */
  without?: string;
  /** On the command line: flags that run another verb of the noun, such as `{ groups: "groups" }`. */
  others?: Readonly<Record<string, string>>;
  /** The error of `run` if there is no such thing: code gets undefined instead, the command line ends with the error. */
  absent?: ErrorCode;
  /** Refuses combinations that make no sense, before the database is asked. @throws PawlError `invalid_option` */
  check?(input: ValueOf<F>, calling: Calling): void;
  /** The command line requires `--yes`, with this text, unless it is undefined. */
  confirm?(
    base: () => Promise<B>,
    input: ValueOf<F>,
    calling: Calling,
  ): Promise<Refusal | undefined>;
  run(base: B, input: ValueOf<F>, calling: Calling): Promise<R>;
  /** Default: the result. `input` has what was read and what was typed. */
  json?(result: R, input: ValueOf<F> & ValueOf<T>): unknown;
  text(result: R, input: ValueOf<F> & ValueOf<T>): string;
  /** Code gets the result; the command line prints it and ends with this error. */
  failure?(result: R, input: ValueOf<F>): PawlError | undefined;
}

/** A verb as the code that renders it sees it. `Call` is its signature in code. */
export interface Verb<Call, in B> {
  readonly help: string;
  readonly more?: string;
  readonly examples: Examples;
  readonly input: Fields;
  readonly args: readonly string[];
  readonly typedArgs: readonly string[];
  readonly form?: {
    readonly input: Fields;
    readonly args: readonly string[];
    /** The input that the typed values mean, read. */
    given(typed: Record<string, unknown>, by: TypedBy<B>): Promise<Record<string, unknown>>;
  };
  readonly changes: boolean;
  readonly isTolerant: boolean;
  readonly isOffline: boolean;
  readonly needsApp: boolean;
  readonly isDefault: boolean;
  readonly without?: string;
  readonly absent?: ErrorCode;
  readonly others: Readonly<Record<string, string>>;
  check(input: Record<string, unknown>, calling: Calling): void;
  readonly confirm?: (
    base: () => Promise<B>,
    input: Record<string, unknown>,
    calling: Calling,
  ) => Promise<Refusal | undefined>;
  run(base: B, input: Record<string, unknown>, calling: Calling): Promise<unknown>;
  answer(result: unknown, input: Record<string, unknown>): Answer;
  /** Only for the compiler. */
  readonly call?: Call;
}

type ArgsOf<F extends Fields, A extends readonly (keyof F & string)[]> = A extends readonly [
  infer First extends keyof F & string,
  ...infer Others extends readonly (keyof F & string)[],
]
  ? F[First]["presence"] extends "required"
    ? [GivenOne<F[First]>, ...ArgsOf<F, Others>]
    : [(GivenOne<F[First]> | undefined)?, ...ArgsOf<F, Others>]
  : [];

/** The signature in code: positional inputs, then an object with the others. An optional position may be skipped. */
export type CallOf<F extends Fields, A extends readonly (keyof F & string)[], R> = (
  ...given:
    | [...ArgsOf<F, A>, ...OptionsOf<Rest<F, A>>]
    | (F[A[number]]["presence"] extends "required" ? never : [options: Rest<F, A>])
) => Promise<R>;

type Rest<F extends Fields, A extends readonly (keyof F & string)[]> = GivenOf<Omit<F, A[number]>> &
  ActOptions;

type OptionsOf<Given> = object extends Given ? [options?: Given | undefined] : [options: Given];

export interface ActOptions {
  /** For the audit: who acts, 1 to 500 characters, as `why`. Default: the app's name and the host. */
  by?: string;
  why?: string;
}

/** Who acts, and why: fields of every verb that changes something, or sends something out. */
const ACT_FIELDS: Readonly<Record<"by" | "why", Field<string>>> = {
  why: notBlank(name("the reason, for the audit", "text")),
  by: notBlank(name("who does it, for the audit")),
};

const WHY = name("the reason, for the audit; required", "text");
const BLANK_AS_NONE: AnyField = {
  ...WHY,
  read: (given, place) => (isBlank(given) ? undefined : WHY.read(given, place)),
  readTyped: (typed, place) => (isBlank(typed) ? undefined : WHY.readTyped(typed, place)),
};

function isBlank(given: unknown): boolean {
  return typeof given === "string" && given.trim() === "";
}

/** @throws PawlError `invalid_option` */
function refuseUnexplained({ why, where, label }: Calling): void {
  if (why !== undefined) return;
  const message = `${where}: expected ${label("why")} to be given: the reason, for the audit`;
  throw new PawlError("invalid_option", message, {
    data: { option: label("why").replaceAll("`", "") },
  });
}

export function verb<
  B,
  const F extends Fields,
  R,
  const A extends readonly (keyof F & string)[] = readonly [],
  const T extends Fields = None,
>(spec: VerbSpec<B, F, A, R, T>): Verb<CallOf<F, A, R>, B> {
  const { help, more, examples = [], args = [], changes = false, isTolerant = false } = spec;
  const act = spec.isWhyRequired === true ? { ...ACT_FIELDS, why: BLANK_AS_NONE } : ACT_FIELDS;
  const acting = (input: Fields): Fields => (changes ? { ...input, ...act } : input);
  const { form } = spec;
  return {
    help,
    ...(more !== undefined && { more }),
    examples,
    input: acting(spec.input),
    args,
    typedArgs: spec.typedArgs ?? args,
    ...(form !== undefined && {
      form: {
        input: acting(form.input),
        args: form.args ?? [],
        given: async (typed, by) =>
          readOptions(by.calling.where, spec.input, await form.given(typed as ValueOf<T>, by)),
      },
    }),
    changes,
    isTolerant,
    isOffline: spec.isOffline ?? false,
    needsApp: spec.needsApp ?? false,
    isDefault: spec.isDefault ?? false,
    ...(spec.without !== undefined && { without: spec.without }),
    ...(spec.absent !== undefined && { absent: spec.absent }),
    others: spec.others ?? {},
    ...(spec.confirm !== undefined && {
      confirm: (base, input, calling) =>
        spec.confirm?.(base, input as ValueOf<F>, calling) ?? Promise.resolve(undefined),
    }),
    check: (input, calling) => {
      if (spec.isWhyRequired === true) refuseUnexplained(calling);
      spec.check?.(input as ValueOf<F>, calling);
    },
    run: (base, input, calling) => spec.run(base, input as ValueOf<F>, calling),
    answer: (result, given) => {
      const input = given as ValueOf<F> & ValueOf<T>;
      const failure = spec.failure?.(result as R, input);
      return {
        json: spec.json === undefined ? result : spec.json(result as R, input),
        text: spec.text(result as R, input),
        ...(failure !== undefined && { failure }),
      };
    },
  };
}

/** How a list is shown: under its name in JSON, as a table to people. */
export function listing<Row>(
  rows: string,
  columns: readonly Column<Row>[],
): { json(result: Row[]): unknown; text(result: Row[]): string } {
  return { json: (result) => ({ [rows]: result }), text: (result) => table(result, columns) };
}

/**
 * A noun with its verbs; an empty name gives `pawl stats`. `Calls` is what `pawl.<noun>` offers in code; the compiler
 * compares.
 */
export interface Noun<Calls, in B> {
  readonly name: string;
  readonly help: string;
  /** Another noun below this one, as in `pawl deliveries replays stop`. */
  readonly verbs: {
    readonly [K in keyof Calls]: Calls[K] extends (...given: never[]) => unknown
      ? Verb<Calls[K], B>
      : Noun<Calls[K], B>;
  };
  /** Commands whose path is not `pawl <noun> <verb>`: `{ off: "off" }` is `pawl off`. null: only in code. */
  readonly paths?: { readonly [K in keyof Calls]?: string | null };
}
