import { createContext, useContext, useMemo, useReducer, type Dispatch, type PropsWithChildren } from "react";

import { start, step, type Action, type Flow } from "./state";

const FlowContext = createContext<{ flow: Flow; act: Dispatch<Action> }>({ flow: start, act: () => undefined });

export function FlowProvider({ children }: PropsWithChildren) {
  const [flow, act] = useReducer(step, start);
  const value = useMemo(() => ({ flow, act }), [flow]);
  return <FlowContext.Provider value={value}>{children}</FlowContext.Provider>;
}

export const useFlow = () => useContext(FlowContext);
