/** The verbs `pause` and `resume` of what has a switch: each turns its scope off and on. */

import { parseScope, type ScopeKind, scopeText } from "../../../base/scope.ts";
import {
  type ActOptions,
  type Desk,
  type Examples,
  type Verb,
  verb,
} from "../../../operate/verb.ts";
import type { Field } from "../../../options/field.ts";
import { requireScope } from "./scope.ts";
import type { TurnedOff, TurnedOn, TurnOff } from "./switches.ts";
import { OFF_OPTIONS, offText, onText, turnOff, turnOn } from "./turn.ts";

export interface Pausing {
  kind: ScopeKind;
  name: Field<string, string, "required">;
  pause: { help: string; examples: Examples };
  resume: { help: string; examples: Examples };
}

export interface PauseAndResume {
  pause: Verb<(name: string, options?: TurnOff) => Promise<TurnedOff>, Desk>;
  resume: Verb<(name: string, options?: ActOptions) => Promise<TurnedOn>, Desk>;
}

export function pausing({ kind, name, pause, resume }: Pausing): PauseAndResume {
  const scopeOf = (desk: Desk, named: string) =>
    requireScope(
      desk.store,
      parseScope(named)?.kind === kind ? named : scopeText({ kind, name: named }),
    );
  return {
    pause: verb({
      ...pause,
      input: { name, ...OFF_OPTIONS },
      args: ["name"],
      changes: true,
      run: async (desk: Desk, { name: named, until, wait }, act) =>
        turnOff(desk, {
          scope: await scopeOf(desk, named),
          ...(until !== undefined && { until }),
          ...(wait !== undefined && { wait }),
          act,
        }),
      text: offText,
    }),
    resume: verb({
      ...resume,
      input: { name },
      args: ["name"],
      changes: true,
      run: async (desk: Desk, { name: named }, act) =>
        turnOn(desk, await scopeOf(desk, named), act),
      text: onText,
    }),
  };
}
