export function prepare(): void;
