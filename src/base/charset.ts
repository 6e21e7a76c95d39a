/** Bytes as the text that they say they are. What cannot be decoded is an error, and never replaced by U+FFFD. */

import { PawlError, shown } from "./errors.ts";

const CHARSET = /;\s*charset\s*=\s*("?)([^\s";]+)\1/i;
const UTF8_BOM = [0xef, 0xbb, 0xbf];
const LABEL_CHARS_SHOWN = 40;

/** As the parameter `charset` of a content type says; undefined without one. */
export function charsetIn(contentType: string | undefined): string | undefined {
  return CHARSET.exec(contentType ?? "")?.[2];
}

/**
 * A mark of byte order goes before what is said, as in browsers; without either it is UTF-8.
 *
 * @param charset a label of the Encoding Standard, such as `iso-8859-1`
 * @throws PawlError `payload_not_json` for a label that is not known, and for bytes that are no such text
 */
export function decodeText(bytes: Uint8Array, charset: string | undefined): string {
  const decoder = decoderOf(markIn(bytes) ?? charset ?? "utf-8");
  try {
    return decoder.decode(bytes);
  } catch (error) {
    const said = charset === undefined ? "" : ", as its content type says";
    throw new PawlError("payload_not_json", `the bytes are not ${decoder.encoding}${said}`, {
      cause: error,
      data: { charset: decoder.encoding },
    });
  }
}

/** For people: what cannot be decoded is U+FFFD, and a character that was cut in half at the end is left out. */
export function shownText(
  bytes: Uint8Array,
  { contentType, isCut }: { contentType: string | undefined; isCut: boolean },
): string {
  return shownDecoder(charsetIn(contentType)).decode(bytes, { stream: isCut });
}

function shownDecoder(label: string | undefined): InstanceType<typeof TextDecoder> {
  try {
    return new TextDecoder(label);
  } catch {
    return new TextDecoder();
  }
}

function decoderOf(label: string): InstanceType<typeof TextDecoder> {
  try {
    return new TextDecoder(label, { fatal: true });
  } catch (error) {
    const name = shown(label.slice(0, LABEL_CHARS_SHOWN));
    throw new PawlError(
      "payload_not_json",
      `the charset ${name} of its content type is not known; let the sender use utf-8`,
      { cause: error, data: { charset: label.slice(0, LABEL_CHARS_SHOWN) } },
    );
  }
}

function markIn(bytes: Uint8Array): string | undefined {
  if (UTF8_BOM.every((byte, i) => bytes[i] === byte)) return "utf-8";
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return "utf-16le";
  return bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : undefined;
}
