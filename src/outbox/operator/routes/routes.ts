/** What `pawl.routes` offers. */

import type { TurnOff } from "../../../kernel/operator/switches/switches.ts";
import type { ActOptions } from "../../../operate/verb.ts";
import type { AddRoute, EditRoute, RouteInfo } from "./act.ts";
import type { RouteTest, RouteTestResult } from "./test.ts";

export interface ListRoutes {
  /** Only routes to this destination. */
  to?: string;
}

/** `pawl.routes`. */
export interface Routes {
  list(options?: ListRoutes): Promise<RouteInfo[]>;
  /** Adds a route. @throws PawlError `invalid_option`, `unknown_destination` */
  add(route: AddRoute, options?: ActOptions): Promise<RouteInfo>;
  /** Changes a route; null removes a condition. @throws PawlError as `add`, and `route_not_found`, `owned_by_code` */
  edit(id: string, changes: EditRoute, options?: ActOptions): Promise<RouteInfo>;
  /** Turns a route off, also one defined in code. @throws PawlError `route_not_found` */
  turnOff(id: string, options?: Omit<TurnOff, "wait">): Promise<RouteInfo>;
  turnOn(id: string, options?: ActOptions): Promise<RouteInfo>;
  /** Returns where an event would go, and why not elsewhere. @throws PawlError `event_not_found`, `invalid_option` */
  test(event: RouteTest): Promise<RouteTestResult>;
  /** Removes a route. @throws PawlError `route_not_found`, `owned_by_code` */
  remove(id: string, options?: ActOptions): Promise<void>;
}
