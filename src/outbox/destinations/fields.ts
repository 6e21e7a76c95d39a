/** The config of a destination type as a list of fields, from which commands and forms are made. */

/** `secret`: text, `{"env"}`, `{"file"}` or sealed, never shown. `map`: names to texts or secrets. `retry`, `rate` and `breaker`: as in the app's options. */
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
  /** Shown beside the field; what is missing is left to the type. */
  readonly default?: unknown;
  /** Of a `choice`. */
  readonly choices?: readonly string[];
  /** Of a `number`. */
  readonly min?: number;
  readonly max?: number;
}

export type ConfigFields = Readonly<Record<string, ConfigField>>;
