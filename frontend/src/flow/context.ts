import { useSyncExternalStore } from "react";

import { start, step, type Action, type Flow } from "./state";

/** Outside React: the router builds every screen anew on the browser's Back and Forward, and the current flow must outlive that. */
let flow: Flow = start;
const listeners = new Set<() => void>();

export const currentFlow = (): Flow => flow;

export function act(action: Action): void {
  flow = step(flow, action);
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const useFlow = () => ({ flow: useSyncExternalStore(subscribe, currentFlow, () => start), act });
