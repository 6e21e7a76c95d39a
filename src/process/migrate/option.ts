/** How the definition of a version says what becomes of runs of another one. */

import { badOption, isRecord } from "../../base/options.ts";
import { type Field, fieldOf } from "../../options/field.ts";

const VERSION = /^[1-9]\d{0,8}$/;

/** A run of another version, as far as it is. What is changed of it changes nothing. */
export interface RunBefore {
  readonly id: string;
  readonly version: number;
  /** The step where it stands. */
  readonly step: string;
  readonly status: "pending" | "retry" | "waiting" | "sleeping" | "held" | "error";
  /** As it was stored. */
  readonly input: unknown;
  readonly outputs: Record<string, unknown>;
  readonly data: Record<string, unknown>;
}

/** The same run in the version of this definition. */
export interface RunAfter {
  /** The step with which it goes on. */
  step: string;
  /** Default: the input that it has. */
  input?: unknown;
  /** Default: those that it has of steps of this version. */
  outputs?: Readonly<Record<string, unknown>>;
  /** Default: what it has. */
  data?: Readonly<Record<string, unknown>>;
}

/** Nothing for a run that stays as it is. What it throws leaves the run as it is too, and is told. */
export type MigrateRun = (run: RunBefore) => RunAfter | undefined;

export const migrations: Field<Readonly<Record<number, MigrateRun>>> = fieldOf({
  kind: "object",
  help: "for each version from which runs may come, a function of such a run",
  shape: "functions",
  read: (given, place) => {
    const isFit =
      isRecord(given) &&
      Object.entries(given).every(([key, one]) => VERSION.test(key) && typeof one === "function");
    if (isFit) return { ...(given as Readonly<Record<number, MigrateRun>>) };
    throw badOption(
      place.where ?? "",
      place.option,
      "an object with a function for each version from which runs may come, such as { 1: (run) => ({ step: run.step }) }",
      given,
    );
  },
  asGiven: (typed) => typed,
});
