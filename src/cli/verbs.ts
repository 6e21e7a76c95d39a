/** Makes the commands `pawl <noun> <verb>` from nouns. What a verb does, and its rules, are in its part. */

import type { Command } from "commander";
import type { Operating } from "../app/parts.ts";
import { PawlError } from "../base/errors.ts";
import { isNoun } from "../operate/calls.ts";
import type { Answer, Calling, Noun, Verb } from "../operate/verb.ts";
import type { AnyField } from "../options/field.ts";
import { type Call, command, does, placeOf, placeOrDefault, requireApp } from "./command.ts";
import { editText } from "./editor.ts";
import { addOptions, dashed, flagOf, isTyped, readInputs } from "./inputs.ts";
import { openOffline, openOperating } from "./opening.ts";
import { endProgress, note, printAnswer, progress, progressLines } from "./output.ts";
import { currentPerson } from "./person.ts";
import { stoppable } from "./signals.ts";
import { readPiped, readStdinSecret } from "./stdin-secret.ts";

type AnyVerb = Verb<unknown, Operating>;
/** A verb with its arguments and fields on the command line. `action`: `deliveries.replays.stop`, as it is declared. */
type TypedVerb = AnyVerb & { action: string };
type AnyNoun = Noun<object, Operating>;

/** A noun with its verbs, and those of its verbs that have a path elsewhere, such as `pawl off`. */
export function commandsOf(noun: AnyNoun, above = ""): Command[] {
  const under = noun.name === "" ? "" : `${above}${noun.name} `;
  const entries = Object.entries(noun.verbs) as [string, AnyVerb | AnyNoun][];
  const verbs = new Map(
    entries.flatMap(([name, one]) =>
      isNoun(one) ? [] : [[name, asTyped(one, under, name)] as const],
    ),
  );
  const paths = (noun.paths ?? {}) as Record<string, string | null | undefined>;
  const nested = command(noun.name, noun.help);
  const others: Command[] = [];
  for (const [name, one] of verbs) {
    const { [name]: full = `${under}${dashed(name)}` } = paths;
    if (full === null) continue;
    const made = commandOf(full, one, verbs);
    if (under !== "" && full.startsWith(under))
      nested.addCommand(made, { isDefault: one.isDefault });
    else others.push(made);
  }
  const below = entries.flatMap(([, one]) => (isNoun(one) ? commandsOf(one, under) : []));
  for (const one of below) nested.addCommand(one);
  return nested.commands.length === 0 ? others : [nested, ...others];
}

function asTyped(one: AnyVerb, under: string, name: string): TypedVerb {
  const { args, input: fields } = one.form ?? { args: one.typedArgs, input: one.input };
  const input = Object.entries(fields).map(([name, kind]) => [name, kind.typed ?? kind]);
  const action = `${under.replaceAll(" ", ".")}${name}`;
  return { ...one, args, input: Object.fromEntries(input), action };
}

function commandOf(path: string, one: TypedVerb, verbs: ReadonlyMap<string, TypedVerb>): Command {
  const name = path.split(" ").at(-1) ?? path;
  const without = one.without === undefined ? undefined : verbs.get(one.without);
  const args = one.args.map((arg) => argText(arg, one.input[arg], without !== undefined));
  const made = command([name, ...args].join(" "), one.help, one.examples);
  addOptions(made, one);
  for (const [flag, other] of Object.entries(one.others))
    made.option(`--${flag}`, lowerFirst(verbs.get(other)?.help ?? ""));
  if (one.confirm !== undefined)
    made.option("--yes", "required if something would be lost; there is no confirmation prompt");
  if (one.more !== undefined) made.addHelpText("after", `\n${one.more}`);
  return does(made, async (call) => {
    const typing = { where: `pawl ${path}`, made };
    if (without !== undefined && call.args.length === 0)
      return act(call, { ...typing, one: without });
    const flags = Object.entries(one.others);
    const [flag, other] = flags.find(([name]) => made.getOptionValueSource(name) === "cli") ?? [];
    if (flag === undefined || other === undefined) return act(call, { ...typing, one });
    const instead = verbs.get(other) ?? one;
    refuseOthers(one, instead, { ...typing, flag });
    return act(call, { ...typing, one: instead });
  });
}

/** `--groups` runs another verb, which takes fewer options. */
function refuseOthers(
  one: AnyVerb,
  other: AnyVerb,
  { where, flag, made }: { where: string; flag: string; made: Command },
): void {
  const typed = Object.entries(one.input).find(
    ([name, kind]) => !Object.hasOwn(other.input, name) && isTyped(made, name, kind),
  );
  if (typed === undefined) return;
  throw new PawlError(
    "invalid_option",
    `${where}: --${flag} takes no filters, got ${flagOf(...typed)}; give one of the two`,
    { data: { option: `--${flag}` } },
  );
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** `<id>`, `[id]`, `<ids...>` */
function argText(name: string, kind: AnyField | undefined, canBeLeftOut: boolean): string {
  const text = kind?.kind === "several" ? `${name}...` : name;
  return kind?.presence === "required" && !canBeLeftOut ? `<${text}>` : `[${text}]`;
}

interface Typing {
  one: TypedVerb;
  where: string;
  made: Command;
}

async function act(call: Call, typing: Typing): Promise<Answer> {
  const { one, where, made } = typing;
  const read = readInputs(made, one);
  const { by, why, ...rest } = read as { by?: string; why?: string };
  const calling: Calling = {
    by: by ?? currentPerson(),
    ...(why !== undefined && { why }),
    action: one.action,
    where,
    label: (option) => flagOf(option, one.input[option]),
  };
  const typed = one.changes ? rest : read;
  if (one.form === undefined) one.check(typed, calling);
  let opening: ReturnType<typeof open> | undefined;
  const base = () => {
    opening ??= open(call, one);
    return opening;
  };
  try {
    const terminal = { note, readSecret: readStdinSecret, readPiped, edit: editText };
    const input = (await one.form?.given(typed, { base, calling, terminal })) ?? typed;
    if (one.form !== undefined) one.check(input, calling);
    if (one.confirm !== undefined && made.opts().yes !== true) {
      const refusal = await one.confirm(base, input, calling);
      if (refusal !== undefined) {
        const data = { option: "--yes", ...refusal.data };
        throw new PawlError("invalid_option", refusal.text, { data });
      }
    }
    const answer = one.answer(await one.run(await base(), input, calling), { ...typed, ...input });
    if (answer.failure === undefined) return answer;
    if (!call.json) printAnswer(answer, false);
    throw answer.failure;
  } finally {
    await (await opening?.catch(() => undefined))?.close();
  }
}

async function open(call: Call, { isTolerant, isOffline, needsApp }: AnyVerb) {
  const { log } = call;
  const wait = progressLines();
  const report = (text: string, kind?: "waiting" | "line") => {
    if (kind === "line") note(text);
    else if (text === "") endProgress();
    else if (kind === "waiting") wait(text);
    else progress(text);
  };
  const tools = {
    log,
    report,
    stoppable: <T>(work: (stop: Promise<void>) => Promise<T>) => stoppable(log, work),
  };
  if (needsApp) await requireApp(call);
  if (isOffline) return openOffline({ ...tools, app: await call.app() });
  const place = isTolerant ? await placeOrDefault(call) : await placeOf(call);
  const app = isTolerant ? await call.app().catch(() => undefined) : await call.app();
  return openOperating({ ...place, ...tools, app });
}
