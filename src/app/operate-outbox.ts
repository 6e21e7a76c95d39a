/** Destinations and routes for an app's code: the same functions as the command line's, with the app as the one who acts. */

import { hostname } from "node:os";
import { type Duration, durationMs } from "../base/duration.ts";
import { refuseUnknownOptions } from "../base/options.ts";
import type { Act } from "../kernel/people/audit/sql.ts";
import type { Config } from "../outbox/destinations/config.ts";
import type { DestinationType } from "../outbox/destinations/types.ts";
import { type DestinationInfo, describe } from "../outbox/operators/describe.ts";
import {
  type AddDestination,
  addDestination,
  dropDestination,
  editDestination,
  pause,
  resume,
} from "../outbox/operators/destinations.ts";
import { type Rotated, type RotateOptions, rotate } from "../outbox/operators/rotate.ts";
import {
  type AddRoute,
  addRoute,
  dropRoute,
  type EditRoute,
  editRoute,
  listRoutes,
  type RouteInfo,
  switchRoute,
} from "../outbox/operators/routes.ts";
import {
  type TestBase,
  type TestOptions,
  type TestResult,
  testDestination,
} from "../outbox/operators/test-delivery.ts";
import {
  type RouteTest,
  type RouteTestResult,
  testRoutes,
} from "../outbox/operators/test-routes.ts";
import type { ActOptions } from "./operate.ts";

/** What a change came to, and what is missing here but must be there where workers run. */
export interface Changed extends DestinationInfo {
  notes: string[];
}

export interface PauseDestination extends ActOptions {
  /** What waits is cancelled, and what comes is dropped; default: all of it is held. */
  drop?: boolean;
  /** On again by itself: at this time, or after so long. */
  until?: Date | Duration;
}

export interface Destinations {
  /** That can be added, with the fields of their configs. */
  types(): readonly DestinationType[];
  /** By name, the code's and the operators', secrets masked. */
  list(): Promise<DestinationInfo[]>;
  get(name: string): Promise<DestinationInfo | undefined>;
  /** @throws PawlError `duplicate_name`, `unknown_destination_type`, and what the config is refused for */
  add(destination: AddDestination, options?: ActOptions): Promise<Changed>;
  /**
   * Changes some fields of the config; null takes one away, `"retry.attempts"` sets one part. What waits goes out by the
   * new config within seconds.
   * @throws PawlError `unknown_destination`, `owned_by_code`, and what the config is refused for
   */
  edit(name: string, changes: Config, options?: ActOptions): Promise<Changed>;
  /** Sends one real event that is recorded nowhere, and shows the exchange. @throws PawlError `unknown_destination`, `event_not_found` */
  test(name: string, options?: TestOptions): Promise<TestResult>;
  /** Answers how many deliveries were cancelled. @throws PawlError `unknown_destination` */
  pause(name: string, options?: PauseDestination): Promise<{ cancelled: number }>;
  /** Answers whether it was off. @throws PawlError `unknown_destination` */
  resume(name: string, options?: ActOptions): Promise<boolean>;
  /** A new secret; for a time the old one signs beside it. @throws PawlError `unknown_destination`, `owned_by_code` */
  rotate(name: string, options?: RotateOptions & ActOptions): Promise<Rotated>;
  /** With its routes; what waits is cancelled. @throws PawlError `unknown_destination`, `owned_by_code` */
  remove(name: string, options?: ActOptions): Promise<{ cancelled: number }>;
}

export interface Routes {
  list(): Promise<RouteInfo[]>;
  /** @throws PawlError `invalid_option`, `unknown_destination` */
  add(route: AddRoute, options?: ActOptions): Promise<RouteInfo>;
  /** null takes a condition away. @throws PawlError as `add`, and `route_not_found`, `owned_by_code` */
  edit(id: number, changes: EditRoute, options?: ActOptions): Promise<RouteInfo>;
  /** Any route, the code's too. @throws PawlError `route_not_found` */
  turnOff(id: number, options?: ActOptions): Promise<RouteInfo>;
  turnOn(id: number, options?: ActOptions): Promise<RouteInfo>;
  /** Where an event would go, and why not elsewhere. @throws PawlError `event_not_found`, `invalid_option` */
  test(event: RouteTest): Promise<RouteTestResult>;
  /** @throws PawlError `route_not_found`, `owned_by_code` */
  remove(id: number, options?: ActOptions): Promise<void>;
}

export interface OperateOutbox {
  /** What operators do with destinations. */
  readonly destinations: Destinations;
  /** What operators do with routes. */
  readonly routes: Routes;
}

export function operateOutbox(base: TestBase, appName: string): OperateOutbox {
  const acts = (where: string, options: ActOptions = {}): Act => {
    refuseUnknownOptions(where, options, ["by", "why"]);
    return { by: options.by ?? `${appName}@${hostname()}`, why: options.why };
  };
  return { destinations: destinationCalls(base, acts), routes: routeCalls(base, acts) };
}

type Acts = (where: string, options?: ActOptions) => Act;

function destinationCalls(base: TestBase, acts: Acts): Destinations {
  const { store, types } = base;
  const changed = async (name: string, { notes }: { notes: string[] }): Promise<Changed> => {
    const [info] = await describe(base, store, name);
    return { ...(info as DestinationInfo), notes };
  };
  return {
    types: () => types,
    list: () => describe(base, store),
    get: async (name) => (await describe(base, store, name))[0],
    add: async (destination, options) => {
      refuseUnknownOptions("destinations.add", destination, ["name", "type", "config", "active"]);
      const act = acts("destinations.add", options);
      return changed(destination.name, await addDestination(base, destination, act));
    },
    edit: async (name, changes, options) => {
      const act = acts("destinations.edit", options);
      return changed(name, await editDestination(base, { name, changes }, act));
    },
    test: async (name, options = {}) => {
      refuseUnknownOptions("destinations.test", options, ["event"]);
      return testDestination(base, { name, ...options });
    },
    pause: async (name, { drop, until, ...options } = {}) => {
      const act = acts("destinations.pause", options);
      const end =
        until === undefined || until instanceof Date
          ? { until }
          : { forMs: durationMs(until, "until") };
      return pause(base, name, { drop, ...end, ...act });
    },
    resume: async (name, options) => resume(base, name, acts("destinations.resume", options)),
    rotate: async (name, { secret, overlap, ...options } = {}) => {
      const act = acts("destinations.rotate", options);
      const given = {
        ...(secret !== undefined && { secret }),
        ...(overlap !== undefined && { overlap }),
      };
      return rotate(base, { name, ...given }, act);
    },
    remove: async (name, options) =>
      dropDestination(base, name, acts("destinations.remove", options)),
  };
}

function routeCalls({ store }: TestBase, acts: Acts): Routes {
  const turn = (isOn: boolean) => async (id: number, options?: ActOptions) =>
    switchRoute(store, { id, isOn }, acts(isOn ? "routes.turnOn" : "routes.turnOff", options));
  return {
    list: () => listRoutes(store),
    add: async (route, options) => addRoute(store, route, acts("routes.add", options)),
    edit: async (id, changes, options) =>
      editRoute(store, { id, changes }, acts("routes.edit", options)),
    turnOff: turn(false),
    turnOn: turn(true),
    test: async (event) => testRoutes(store, event),
    remove: async (id, options) => dropRoute(store, id, acts("routes.remove", options)),
  };
}
