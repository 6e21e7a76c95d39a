/** What a source reads before its request goes out, such as a secret: what fails there has sent nothing. */

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
