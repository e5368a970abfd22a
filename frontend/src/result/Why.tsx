import { StyleSheet, View } from "react-native";

import type { Assessment } from "@/client";
import { useFlow } from "@/flow/context";
import { sentence, useWords } from "@/strings";
import { useColours } from "@/theme";
import { Card, List, Text } from "@/ui";

import { bars, factors, resultTexts, type Bar } from "./texts";

/** The reasons: as text, as bars, and every answer that changed the odds with its source. */
export function Why({ answer }: { answer: Assessment }) {
  const { t, language } = useWords();
  const { explanation, reasons } = resultTexts(answer, t, language);
  const chart = bars(answer, t, language);
  return (
    <>
      <Card>
        <Text kind="heading">{t.result.why}</Text>
        {explanation ? <Text lang={answer.risk.language}>{explanation}</Text> : null}
        {reasons.length ? <List items={reasons.map((reason) => sentence(reason, language).text)} /> : null}
        <Text kind="sub">{t.result.weights}</Text>
        <View role="list" style={box.list}>{chart.bars.map((bar) => <BarRow key={bar.id} bar={bar} />)}</View>
        <Text kind="small">{chart.start}</Text>
      </Card>
      <Factors finding={answer.findings.questionnaire} />
    </>
  );
}

function BarRow({ bar }: { bar: Bar }) {
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
  const { list, together } = factors(finding, flow.questions, t, language, (text) => sentence(text, language).text);
  return (
    <Card>
      <Text kind="heading">{t.result.factors}</Text>
      <View role="list" style={box.list}>
        {list.map(({ id, text, ratio, source }) => (
          <View role="listitem" key={id}>
            <View style={box.labels}><Text style={box.grow}>{text}</Text><Text kind="bold">{ratio}</Text></View>
            <Text kind="small">{source}</Text>
          </View>
        ))}
      </View>
      <Text kind="small">{together}</Text>
    </Card>
  );
}

const box = StyleSheet.create({
  list: { gap: 12 }, bar: { gap: 4 }, labels: { flexDirection: "row", gap: 12, justifyContent: "space-between" }, grow: { flex: 1 },
  track: { height: 14, borderRadius: 7, overflow: "hidden" }, fill: { position: "absolute", top: 0, bottom: 0 }, middle: { position: "absolute", start: "50%", width: 2, top: 0, bottom: 0 },
});
