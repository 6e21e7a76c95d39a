/** The part `kernel`, which operators see: workers, switches, queues, tasks, dead letters, audit and history. */

import { type Audit, auditNoun } from "../../operate/audit.ts";
import type { Noun } from "../../operate/verb.ts";
import { type FieldsOf, withDefault } from "../../options/field.ts";
import { func } from "../../options/kinds.ts";
import { list } from "../../options/parts.ts";
import { defineGroups, type GroupsApp, groupsOption } from "../groups/groups.ts";
import { writeGroups } from "../groups/sql.ts";
import type { Middleware } from "../middleware.ts";
import {
  type AppBase,
  checkOne,
  type Definition,
  definition,
  type Part,
  type PartTools,
} from "../part.ts";
import {
  defineQuietHours,
  type QuietHours,
  type QuietHoursOptions,
  quietHoursOption,
} from "../quiet/quiet-hours.ts";
import { writeQuietHours } from "../quiet/sql.ts";
import { kernelCalls } from "./calls.ts";
import type { DeadLetters } from "./dead/dead.ts";
import { deadNoun } from "./dead/verbs.ts";
import { type History, historyNoun, type PruneDesk } from "./history/verbs.ts";
import { queuesNoun } from "./queues/verbs.ts";
import type { Quiet } from "./quiet/quiet.ts";
import { quietNoun } from "./quiet/verbs.ts";
import { requireScope } from "./switches/scope.ts";
import type { Queues, Switches } from "./switches/switches.ts";
import { switchesNoun } from "./switches/verbs.ts";
import type { Tasks, TasksDesk } from "./tasks/tasks.ts";
import { tasksNoun } from "./tasks/verbs.ts";
import { type Workers, workersNoun } from "./workers/verbs.ts";

export interface KernelAppOptions {
  /**
   * Scopes that are turned off and on together, each group by its name: `{ erp: ["queue:invoices", "destination:erp", "command:import"] }`.
   * Then `pawl off group:erp` turns them off. Default: none.
   */
  groups?: Record<string, readonly string[]>;
  /** Windows of local time in which nothing starts, each by its name. Default: none. */
  quietHours?: Record<string, QuietHoursOptions>;
  /** Functions around every attempt, of whatever part, the first outermost. Default: none. */
  use?: readonly Middleware[];
}

export interface KernelApp extends GroupsApp {
  readonly quietHours: readonly QuietHours[];
  readonly use: readonly Middleware[];
}

const FIELDS = {
  groups: withDefault({}, groupsOption),
  quietHours: withDefault({}, quietHoursOption),
  use: withDefault([], list(func<Middleware>("around every attempt"), { isEmptyOk: true })),
} satisfies FieldsOf<KernelAppOptions>;

const kernelDefinition: Definition = definition(FIELDS, (read) => {
  const groups = defineGroups(read.groups);
  const quietHours = defineQuietHours(read.quietHours, groups);
  return { groups, quietHours, use: read.use } satisfies Omit<KernelApp, keyof AppBase>;
});

export interface KernelNouns {
  readonly workers: Workers;
  readonly switches: Switches;
  readonly queues: Queues;
  readonly quiet: Quiet;
  readonly tasks: Tasks;
  readonly dead: DeadLetters;
  readonly audit: Audit;
  readonly history: History;
}

interface KernelDesk extends TasksDesk, PruneDesk {}

const nouns: { readonly [Name in keyof KernelNouns]: Noun<KernelNouns[Name], KernelDesk> } = {
  workers: workersNoun,
  switches: switchesNoun,
  queues: queuesNoun,
  quiet: quietNoun,
  tasks: tasksNoun,
  dead: deadNoun,
  audit: auditNoun,
  history: historyNoun,
};

interface KernelTools extends PartTools {
  app: KernelApp;
}

export const kernelPart: Part<KernelTools, KernelDesk> = {
  name: "kernel",
  definition: kernelDefinition,
  nouns: Object.values(nouns) as Noun<object, KernelDesk>[],
  calls: ({ caller }) => kernelCalls(caller),
  catalogue: ({ groups }) => ({ names: { groups: Object.keys(groups) } }),
  // what a newer revision has removed would come back
  register: async (executor, { application, isCurrent }, { quietHours }) => {
    if (isCurrent) await writeQuietHours(executor, application, quietHours);
  },
  registered: async (executor, { application, isCurrent }, { groups }) => {
    if (!isCurrent) return;
    for (const [name, members] of Object.entries(groups)) {
      for (const member of members)
        await checkOne(`group "${name}"`, () => requireScope(executor, member));
    }
    await writeGroups(executor, application, groups);
  },
};
