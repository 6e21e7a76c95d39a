/** The part `kernel`, which operators see: workers, switches, queues, tasks, dead letters, audit and history. */

import { type Audit, auditNoun } from "../../operate/audit.ts";
import type { Noun } from "../../operate/verb.ts";
import type { Part, PartTools } from "../part.ts";
import { kernelCalls } from "./calls.ts";
import type { DeadLetters } from "./dead/dead.ts";
import { deadNoun } from "./dead/verbs.ts";
import { type History, historyNoun } from "./history/verbs.ts";
import { queuesNoun } from "./queues/verbs.ts";
import type { Queues, Switches } from "./switches/switches.ts";
import { switchesNoun } from "./switches/verbs.ts";
import type { Tasks, TasksDesk } from "./tasks/tasks.ts";
import { tasksNoun } from "./tasks/verbs.ts";
import { type Workers, workersNoun } from "./workers/verbs.ts";

export interface KernelNouns {
  readonly workers: Workers;
  readonly switches: Switches;
  readonly queues: Queues;
  readonly tasks: Tasks;
  readonly dead: DeadLetters;
  readonly audit: Audit;
  readonly history: History;
}

const nouns: { readonly [Name in keyof KernelNouns]: Noun<KernelNouns[Name], TasksDesk> } = {
  workers: workersNoun,
  switches: switchesNoun,
  queues: queuesNoun,
  tasks: tasksNoun,
  dead: deadNoun,
  audit: auditNoun,
  history: historyNoun,
};

export const kernelPart: Part<PartTools, TasksDesk> = {
  name: "kernel",
  nouns: Object.values(nouns) as Noun<object, TasksDesk>[],
  calls: ({ caller }) => kernelCalls(caller),
};
