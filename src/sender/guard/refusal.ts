/** A host that is not of the public internet and that the app does not permit: nothing was sent to it. */

import { PawlError } from "../../base/errors.ts";
import { maskUrl } from "../../base/mask.ts";

export interface Refusal {
  host: string;
  /** Which address of the host, when it is not the host itself. */
  address?: string;
  /** As in "10.0.0.1 is private". */
  reason: string;
}

export function addressForbidden(
  refusal: Refusal,
  url: URL,
  more: Record<string, unknown> = {},
): PawlError {
  const { host, address, reason } = refusal;
  const shownUrl = maskUrl(url);
  const what =
    address === undefined ? `${host} is ${reason}` : `${host} is at ${address}, ${reason}`;
  const entry = reason.includes("metadata") && address !== undefined ? address : host;
  return new PawlError(
    "address_forbidden",
    `${shownUrl}: refused, because ${what}; nothing was sent. If it is intended, permit it in the app: http: { allow: [${JSON.stringify(entry)}] }`,
    {
      data: {
        url: shownUrl,
        host,
        ...(address !== undefined && { address }),
        reason: "forbidden",
        sent: "no",
        ...more,
      },
    },
  );
}
