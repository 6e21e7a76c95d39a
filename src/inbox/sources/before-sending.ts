/** Reads what a request needs, such as a secret, before it is sent: if that fails, nothing was sent. */

import { toError } from "../../base/errors.ts";
import { SourceUnavailable } from "../source.ts";

/** @throws SourceUnavailable `sent: "no"` */
export function beforeSending<T>(read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    const error = toError(thrown);
    throw new SourceUnavailable(error.message, { sent: "no", cause: error });
  }
}
