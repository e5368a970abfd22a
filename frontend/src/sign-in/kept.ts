import type { Flow } from "@/flow/state";

/** What is in hand while a person is at the issuer's page: the web's only. On phones the app stays where it is. */
export const kept = { put: (_: Flow): void => undefined, take: (): Partial<Flow> => ({}) };
