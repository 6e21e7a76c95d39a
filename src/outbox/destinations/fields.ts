/** The config of a destination type as a list of fields, from which commands and forms are made. */

/**
 * `secret`: text, `{"env"}`, `{"file"}` or sealed; never shown. `map`: names with texts or secrets. `retry`, `rate` and
 * `breaker`: as in the app's options.
 */
export type FieldKind =
  | "text"
  | "url"
  | "secret"
  | "secrets"
  | "number"
  | "boolean"
  | "duration"
  | "choice"
  | "map"
  | "list"
  | "retry"
  | "rate"
  | "breaker";

export interface ConfigField {
  readonly kind: FieldKind;
  readonly label: string;
  readonly help?: string;
  readonly required?: boolean;
  /**
   * For a `url` that may be a secret: also takes env:NAME and file:/path, and seals a URL with more than one path segment if
   * there is a master key. `define` then gets the reference.
   */
  readonly canRefer?: boolean;
  /** Shown beside the field. The type itself sets missing values. */
  readonly default?: unknown;
  /** For a `choice`: its values. */
  readonly choices?: readonly string[];
  /** For a `number`: its bounds. */
  readonly min?: number;
  readonly max?: number;
}

export const FIELD_OPTIONS: readonly (keyof ConfigField)[] = [
  "kind",
  "label",
  "help",
  "required",
  "canRefer",
  "default",
  "choices",
  "min",
  "max",
];

export type ConfigFields = Readonly<Record<string, ConfigField>>;
