import { Redirect, router } from "expo-router";
import { useEffect, useState } from "react";
import { StyleSheet, View } from "react-native";

import { assess } from "@/api/assess";
import { TRANSPORT } from "@/api/default-transport";
import { Failure } from "@/api/problem";
import { useFlow } from "@/flow/context";
import { plain, useWords } from "@/strings";
import { useColours } from "@/theme";
import { Button, Card, Row, Screen, Text } from "@/ui";

import { Failed } from "./Failed";

const PARTS = ["sent", "picture", "classifier", "vlm", "questionnaire", "fusion"] as const;

/** The request, with each finding as it arrives. Leaving the screen stops it. */
export function Sending() {
  const { flow } = useFlow();
  const [attempt, setAttempt] = useState(0);
  useAssessment(attempt);
  if (!flow.image) return <Redirect href="/" />;
  if (flow.failure) return <Failed failure={flow.failure} onRetry={() => setAttempt(attempt + 1)} />;
  return <Progress />;
}

function useAssessment(attempt: number) {
  const { flow: { image, answers }, act } = useFlow();
  const { language } = useWords();
  useEffect(() => {
    if (!image) return;
    const stop = new AbortController();
    act({ is: "sending" });
    assess(image, answers, language, stop.signal, ({ name, status }) => act({ is: "arrived", name, status }), TRANSPORT)
      .then((answer) => { act({ is: "done", answer }); router.replace("/result"); })
      .catch((error: unknown) => {
        if (!stop.signal.aborted) act({ is: "failed", failure: error instanceof Failure ? error : new Failure("unreadable") });
      });
    return () => stop.abort();
    // The answers and the language are those of the moment of sending.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [attempt, image]);
}

function Progress() {
  const { t } = useWords();
  const colours = useColours();
  const { flow } = useFlow();
  const statuses = { sent: "ok", ...flow.arrived } as Record<string, string>;
  return (
    <Screen narrow title={t.sending.title}>
      <Text kind="title">{t.sending.title}</Text>
      <Card>
        <Text kind="soft">{t.sending.patience}</Text>
        <View role="list" aria-live="polite" style={box.list}>
          {PARTS.map((part) => {
            const status = statuses[part];
            const state = status === undefined ? t.sending.states.waiting : plain({ ok: t.sending.states.done, ...t.sending.states }, status);
            return (
              <View role="listitem" key={part} style={box.item}>
                <Text aria-hidden style={box.mark} colour={status === "ok" ? colours.accent : colours.soft} kind="bold">{status === undefined ? "○" : status === "ok" ? "✓" : "–"}</Text>
                <Text style={box.grow} kind={status ? "body" : "soft"}>{t.sending.parts[part]}</Text><Text kind="soft">{state}</Text>
              </View>
            );
          })}
        </View>
        <Row><Button label={t.sending.stop} onPress={() => router.replace("/questions")} /></Row>
      </Card>
    </Screen>
  );
}

const box = StyleSheet.create({ list: { gap: 10 }, item: { flexDirection: "row", gap: 12 }, grow: { flex: 1 }, mark: { width: 20, textAlign: "center" } });
