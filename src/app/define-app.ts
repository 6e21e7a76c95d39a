/** One value describes the app; workers, the command line and your code read the same one. Its parts check all of it at once. */

import { callerFolder, packageName, projectRoot } from "../base/project.ts";
import type { AppBase } from "../kernel/part.ts";
import { PAYLOAD_BYTES_DEFAULT, PAYLOAD_BYTES_MAX } from "../kernel/payload.ts";
import { type Fields, readOptions, type ValueOf, withDefault } from "../options/field.ts";
import { integer, matching } from "../options/kinds.ts";
import { anything } from "../options/parts.ts";
import { SENDER } from "../sender/sender.ts";
import { type App, type AppOptions, type AppPart, PARTS } from "./parts.ts";

const APP_NAME = /^[A-Za-z0-9_.-]{1,60}$/;

const BASE = {
  name: matching('1 to 60 letters, digits, "_", "." and "-"', (text) => APP_NAME.test(text)),
  revision: withDefault(
    0,
    integer({ help: "rises with every release", min: 0, max: Number.MAX_SAFE_INTEGER }),
  ),
  schema: withDefault("pawl", anything<string>("checked by the store")),
  http: withDefault({}, SENDER),
  maxPayloadBytes: withDefault(
    PAYLOAD_BYTES_DEFAULT,
    integer({ help: "of a payload, a meta or a result", min: 1_024, max: PAYLOAD_BYTES_MAX }),
  ),
};

const apps = new WeakSet<object>();

/**
 * Defines an app and checks all of its options.
 *
 * @throws PawlError `invalid_option`, `unknown_queue`, `unknown_destination`, `duplicate_name`, `address_forbidden`
 */
export function defineApp(options: AppOptions): App {
  return appOf(options, PARTS, callerFolder(defineApp)) as App;
}

/** The same with other parts. */
export function appOf(
  options: object,
  parts: readonly AppPart[],
  folder: string = process.cwd(),
): AppBase {
  const definitions = parts.flatMap((part) => part.definition ?? []);
  const fields: Fields = Object.assign({}, BASE, ...definitions.map((one) => one.fields));
  const read = readOptions("defineApp", fields, options);
  const { name, revision, schema, http, maxPayloadBytes } = read as ValueOf<typeof BASE>;
  const root = projectRoot(folder) ?? folder;
  const app = { name: name ?? nameFrom(root), root, revision, schema, http, maxPayloadBytes };
  for (const one of definitions) Object.assign(app, one.make(read, app));
  apps.add(app);
  return Object.freeze(app);
}

function nameFrom(root: string): string {
  const name = packageName(root)?.replace(/^@/, "").replaceAll("/", ".");
  return name !== undefined && APP_NAME.test(name) ? name : "app";
}

/** True for an app made by `defineApp`, also by another copy of the package. */
export function isApp(value: unknown): value is App {
  if (typeof value !== "object" || value === null) return false;
  return apps.has(value) || ("queues" in value && "jobs" in value && "maxPayloadBytes" in value);
}
