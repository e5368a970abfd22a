import type { Flow } from "@/flow/state";

/** What is in hand while a person is at the issuer's page: the web's only. On phones the app stays where it is. */
export const kept = { put: (_: Flow, _resume: boolean): void => undefined, take: (): Kept => ({ resume: false, flow: {} }), drop: (): void => undefined };

/** `resume` says that it was on its way to the server. */
export type Kept = { resume: boolean; flow: Partial<Flow> };
