/**
 * What a part of Pawl adds: definitions, work, verbs and reasons, as one value. `app` goes over a list of parts and knows none by name; a part
 * never has a claim loop of its own, its tasks run in the kernel's.
 */

import { ofIt } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { Loop } from "../base/loop.ts";
import type { Caller } from "../operate/calls.ts";
import type { Desk, Noun } from "../operate/verb.ts";
import type { WhyTarget } from "../operate/why.ts";
import type { Fields, ValueOf } from "../options/field.ts";
import type { SecretHolder } from "../secrets/reseal.ts";
import type { SenderOptions } from "../sender/sender.ts";
import type { Executor } from "../store/executor.ts";
import type { Store } from "../store/store.ts";
import type { Transaction } from "../store/transaction.ts";
import type { Serving, WorkObserver } from "./heard.ts";
import type { SwitchFile } from "./local-switches.ts";
import type { Why } from "./operator/why.ts";
import type { Definitions, QueueRow } from "./sql.ts";
import type { TaskHandler } from "./task.ts";
import type { WorkerView } from "./worker.ts";

export interface Owner {
  application: string;
  revision: number;
  /** False: a newer revision of the app has registered. */
  isCurrent: boolean;
}

/** What every app has. */
export interface AppBase {
  readonly name: string;
  /** Folder of the project whose file called defineApp: where the embedded server keeps `.pawl/`. */
  readonly root: string;
  readonly revision: number;
  readonly schema: string;
  readonly http: SenderOptions;
  readonly maxPayloadBytes: number;
}

/** What a part adds to `defineApp`. */
export interface Definition {
  /** Its options, each with a name that no other part has. */
  readonly fields: Fields;
  /** Makes the app's values from what was read. `app` is the app so far: the base, and the values of the parts before. */
  make(read: object, app: AppBase): object;
}

export function definition<F extends Fields, App extends AppBase = AppBase>(
  fields: F,
  make: (read: ValueOf<F>, app: App) => object,
): Definition {
  return { fields, make: (read, app) => make(read as ValueOf<F>, app as App) };
}

/** What a part has in the kernel's catalogue for an app. `handler`: the code that takes these tasks, as people see it. */
export interface Catalogue {
  readonly queues?: readonly QueueRow[];
  readonly streams?: readonly (Definitions["streams"][number] & { handler: string })[];
  /** Names beside those of queues and streams that no other app may define: `{ sources: ["orders"] }`. */
  readonly names?: Readonly<Record<string, readonly string[]>>;
}

/** What every part gets. Parts that need more, such as definitions of the app, say so in a type of their own. */
export interface PartTools {
  app: AppBase;
  store: Store;
  /** The pool for transactions of the app's own code. */
  transactionPool: Store;
  log: Logger;
  /** What this worker was asked to do. */
  plan: {
    readonly roles: readonly string[];
    /** Empty where it runs no tasks. */
    readonly queues: readonly string[];
    readonly runsTasks: boolean;
    readonly observer?: WorkObserver | undefined;
    /** Undefined: it has no time limit. */
    readonly timeLimitMs: number | undefined;
  };
}

export interface Part<in Tools extends PartTools, in Base = Desk> {
  readonly name: string;
  /** What operators ask and do, on the command line and in code. */
  readonly nouns?: readonly Noun<object, Base>[];
  readonly whys?: readonly WhyTarget[];
  /** What it knows of a task beside the kernel, such as the step of a run; undefined for one that is not its own. */
  readonly whyTask?: (executor: Executor, found: Why) => Promise<Why | undefined>;
  readonly definition?: Definition;
  /** Calls of the client that stand without a noun: `pawl.enqueue`. */
  calls?(client: { app: Tools["app"]; caller: Caller<Base> }): object;
  /** Those of its calls that a client which only writes may use. */
  readonly producerCalls?: readonly string[];
  /** Calls for code that gets a transaction from Pawl. `where`: that code, for messages. */
  writes?(client: { app: Tools["app"]; store: Store; where: string }): (tx: Transaction) => object;
  /** What the verbs and the work of any part can use. Without a config, `app` defines nothing. */
  provides?(of: { app: Tools["app"]; databaseUrl: string | undefined }): object;
  /** Stored secrets that operators entered: they are sealed again under a new master key. */
  secretHolders?(executor: Executor): Promise<SecretHolder[]>;
  /** Removes what of its own retention no longer keeps, in bounded batches: `pawl prune`. Its worker does the same by itself. */
  prune?(executor: Executor, options: PartPruneOptions): Promise<readonly PrunedOther[]>;
  /** Roles of a worker, each with what it does: `{ loader: "loads sources" }`. A worker has all roles by default. */
  readonly roles?: Readonly<Record<string, string>>;
  /** The queues that a worker serves by default, in order of preference. */
  queues?(app: Tools["app"]): readonly string[];
  /** Queues that operators have made: a worker can be told to serve them. */
  operatorsQueues?(executor: Executor): Promise<readonly string[]>;
  catalogue?(app: Tools["app"]): Catalogue;
  /** Files in `locks/` that hold something of it on their host, beside those that begin with a kind of scope. */
  switchFiles?(app: Tools["app"]): readonly SwitchFile[];
  /** Writes what the app defines, after the catalogue, in the same transaction. */
  register?(executor: Executor, owner: Owner, app: Tools["app"]): Promise<void>;
  /** Writes what needs all that the app defines; called after `register` of every part, in the same transaction. */
  registered?(executor: Executor, owner: Owner, app: Tools["app"]): Promise<void>;
  /** Throws at the start what would fail at every attempt. */
  check?(tools: Tools): Promise<void>;
  /** Called before the worker starts; again if the database could not be reached. */
  work?(tools: Tools): Promise<PartWork>;
}

export interface PartPruneOptions {
  /** Only counts. */
  isDryRun: boolean;
  progress?: (text: string) => void;
}

export interface PrunedOther {
  /** Such as `steps of runs`. */
  what: string;
  /** `redact`: the rows stay, without it. */
  action: "delete" | "redact";
  rows: number;
}

/** What a part does in one worker. */
export interface PartWork {
  readonly handlers?: readonly TaskHandler[];
  /** Queues that it takes up besides those of the plan. */
  readonly queues?: readonly string[];
  loops?(kernel: WorkerView): readonly Loop[];
  /** What its loops take up, for lists and `why`: `source:<name>`. */
  readonly serves?: readonly string[];
  /** The same for people, by kind: `{ jobs: [...] }`. */
  readonly serving?: Partial<Pick<Serving, "jobs" | "destinations" | "sources" | "stores">>;
  /** True if its loops do nothing now, and found nothing at their last look. Default: true. */
  isIdle?(): boolean;
  /** True while it has work now or within `withinMs`, as far as the database knows. Default: false. */
  isWorkLeft?(asked: { streams: readonly number[]; withinMs: number }): Promise<boolean>;
  /** Closes what it has opened, after the worker has stopped. */
  close?(): Promise<void>;
}

/** Runs the check of one thing of the app, which may be asynchronous; what it throws names the thing. */
export async function checkOne(where: string, check: (() => unknown) | undefined): Promise<void> {
  try {
    const answer: unknown = check?.();
    await answer;
  } catch (error) {
    throw ofIt(where, error);
  }
}
