import { PawlError } from "../base/errors.ts";

/** What `--edit` throws when the text in the editor does not count: the person closed it, broke it, or has no editor. */
export function notEdited(why: string): PawlError {
  return new PawlError("invalid_option", `--edit: nothing was changed, since ${why}`, {
    data: { option: "--edit" },
  });
}
