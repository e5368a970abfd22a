import { StyleSheet, View } from "react-native";

import type { Assessment } from "@/client";
import { useFlow } from "@/flow/context";
import { fill, plain, sentence, useWords } from "@/strings";
import { useColours } from "@/theme";
import { Card, List, Text } from "@/ui";

import { bars, type Bar } from "./told";

/** Why: in words, as bars, and every answer that counted with its source. */
export function Why({ answer }: { answer: Assessment }) {
  const { t, language } = useWords();
  const { risk, fusion } = answer;
  const written = fusion.engine === "llm" || (risk.language ?? "en") === language;
  const reasons = (risk.reasons ?? []).filter((reason) => !(written && risk.explanation.includes(reason)));
  const drawn = bars(answer, t, language);
  return (
    <>
      <Card>
        <Text kind="heading">{t.result.why}</Text>
        {written ? <Text lang={risk.language}>{risk.explanation}</Text> : null}
        {reasons.length ? <List items={reasons.map((reason) => sentence(reason, language).text)} /> : null}
        <Text kind="sub">{t.result.weights}</Text>
        <View role="list" style={box.list}>{drawn.bars.map((bar) => <Drawn key={bar.id} bar={bar} />)}</View>
        <Text kind="small">{drawn.start}</Text>
      </Card>
      <Factors finding={answer.findings.questionnaire} />
    </>
  );
}

function Drawn({ bar }: { bar: Bar }) {
  const colours = useColours();
  const width = `${Math.abs(bar.share) * 50}%` as const;
  const up = bar.share > 0;
  return (
    <View role="listitem" style={box.bar}>
      <View style={box.labels}><Text style={box.grow}>{bar.name}</Text><Text kind="bold">{bar.text}</Text></View>
      <View aria-hidden style={[box.track, { backgroundColor: colours.tint }]}>
        <View style={[box.fill, { width, backgroundColor: up ? colours.up : colours.down }, up ? { start: "50%" } : { end: "50%" }]} />
        <View style={[box.middle, { backgroundColor: colours.edge }]} />
      </View>
    </View>
  );
}

function Factors({ finding }: { finding: Assessment["findings"]["questionnaire"] }) {
  const { t, language } = useWords();
  const { flow } = useFlow();
  const factors = finding.factors ?? [];
  const number = (x: number) => x.toLocaleString(language, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const asked = (id: string) => flow.questions.find((question) => question.id === id);
  const said = (id: string, answer: string) => {
    const label = asked(id)?.labels?.[answer];
    return label ? sentence(label, language).text : plain(t.questions.choices, answer);
  };
  return (
    <Card>
      <Text kind="heading">{t.result.factors}</Text>
      {factors.length ? null : <Text kind="soft">{t.result.noFactors}</Text>}
      <View role="list" style={box.list}>
        {factors.map(({ id, answer, likelihood_ratio, source }) => (
          <View role="listitem" key={id}>
            <View style={box.labels}>
              <Text style={box.grow}>{sentence(asked(id)?.text ?? plain({}, id), language).text} {said(id, answer)}</Text>
              <Text kind="bold">×{number(likelihood_ratio)}</Text>
            </View>
            <Text kind="small">{fill(t.questions.source, { source })}</Text>
          </View>
        ))}
      </View>
      {factors.length ? <Text kind="small">{fill(t.result.together, { x: number(finding.likelihood_ratio), version: finding.version })}</Text> : null}
    </Card>
  );
}

const box = StyleSheet.create({
  list: { gap: 12 }, bar: { gap: 4 }, labels: { flexDirection: "row", gap: 12, justifyContent: "space-between" }, grow: { flex: 1 },
  track: { height: 14, borderRadius: 7, overflow: "hidden" }, fill: { position: "absolute", top: 0, bottom: 0 }, middle: { position: "absolute", start: "50%", width: 2, top: 0, bottom: 0 },
});
