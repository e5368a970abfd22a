import { useState } from "react";

import { useFlow } from "@/flow/context";
import { useWords } from "@/strings";
import { Button, Text } from "@/ui";

import { savedFlow } from "./saved-flow";
import { begin } from "./session";

/** Signs in; on web the page is left, so the current flow is saved first. `resume` where it waits to be sent. */
export function SignInButton({ main = false, resume = false, onDone }: { main?: boolean; resume?: boolean; onDone?: () => void }) {
  const { t } = useWords();
  const { flow } = useFlow();
  const [state, setState] = useState<"idle" | "busy" | "failed">("idle");
  const go = async () => {
    setState("busy");
    savedFlow.put(flow, resume);
    await begin().then(() => { setState("idle"); onDone?.(); }, () => setState("failed"));
  };
  return (
    <>
      <Button main={main} busy={state === "busy"} label={t.signIn.go} onPress={() => { if (state !== "busy") void go(); }} />
      {state === "failed" ? <Text role="alert">{t.signIn.unreachable}</Text> : null}
    </>
  );
}
