import type { Flow } from "@/flow/state";

/** The current flow while a person is at the issuer's page: on web only. On phones the app stays open. */
export const savedFlow = { put: (_: Flow, _resume: boolean): void => undefined, take: (): SavedFlow => ({ resume: false, flow: {} }), drop: (): void => undefined };

/** `resume`: it was about to be sent. */
export type SavedFlow = { resume: boolean; flow: Partial<Flow> };
