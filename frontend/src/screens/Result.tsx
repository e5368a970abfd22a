import { Redirect, router } from "expo-router";
import { StyleSheet, View } from "react-native";

import type { Assessment } from "@/client";
import { SaveToDiary } from "@/diary/SaveToDiary";
import { useFlow } from "@/flow/context";
import type { PreparedImage } from "@/image/types";
import { Level } from "@/result/Level";
import { Models } from "@/result/Models";
import { embedded, print, SHARES } from "@/result/print";
import { report } from "@/result/report";
import { resultTexts } from "@/result/texts";
import { Why } from "@/result/Why";
import { fill, sentence, useWords } from "@/strings";
import { useColours, useWide } from "@/theme";
import { Button, Card, List, Notice, Row, Screen, Text } from "@/ui";

/** The answer: how worrying, what to do, why, and how sure. */
export function Result() {
  const { flow: { answer, image } } = useFlow();
  const { t } = useWords();
  const wide = useWide();
  if (!answer || !image) return <Redirect href="/" />;
  return (
    <Screen title={t.result.title}>
      <Verdict answer={answer} />
      <Missing answer={answer} />
      <View style={[box.columns, wide && box.wide]}>
        <View style={[box.column, wide && box.half]}><Why answer={answer} /><Doctor answer={answer} /></View>
        <View style={[box.column, wide && box.half]}><Models answer={answer} image={image} /></View>
      </View>
      <End answer={answer} image={image} />
    </Screen>
  );
}

function Verdict({ answer }: { answer: Assessment }) {
  const { t, language } = useWords();
  const { risk } = answer;
  const words = resultTexts(answer, t, language);
  const headline = sentence(risk.headline, language), advice = sentence(risk.advice, language);
  return (
    <Card>
      <Level level={risk.level} />
      <Text kind="title" lang={headline.language}>{headline.text}</Text>
      <Text kind="sub" aria-level={2}>{t.result.todo}</Text>
      <Text lang={advice.language}>{advice.text}</Text>
      {words.raised ? <Text kind="soft">{words.raised}</Text> : null}
      <Text kind="sub" aria-level={2}>{t.result.probability}</Text>
      <Row><Text kind="figure">{words.melanoma}</Text><Text kind="soft">{words.interval}</Text></Row>
      <Text kind="small">{words.thousand} {words.malignant}</Text>
    </Card>
  );
}

function Missing({ answer }: { answer: Assessment }) {
  const { t, language } = useWords();
  const colours = useColours();
  const { missing } = resultTexts(answer, t, language);
  if (!missing.length) return null;
  return <Card><Notice tone={colours.moderate}><Text kind="heading">{t.result.missing}</Text><List items={missing} /></Notice></Card>;
}

function Doctor({ answer: { risk } }: { answer: Assessment }) {
  const { t, language } = useWords();
  if (!risk.questions_for_doctor?.length) return null;
  return <Card><Text kind="heading">{t.result.doctor}</Text><List items={risk.questions_for_doctor.map((one) => sentence(one, language).text)} /></Card>;
}

function End({ answer, image }: { answer: Assessment; image: PreparedImage }) {
  const { t, language } = useWords();
  const { flow, act } = useFlow();
  const translate = (text: string) => sentence(text, language).text;
  const disclaimer = sentence(answer.disclaimer, language);
  const share = async () => print(report(answer, await embedded(image.uri), flow.questions, t, language, translate));
  const again = () => { act({ is: "again" }); router.navigate("/image"); };
  return (
    <Card>
      <Notice><Text kind="bold" lang={disclaimer.language}>{disclaimer.text}</Text></Notice>
      <SaveToDiary answer={answer} image={image} />
      <Row>
        <Button main label={t.result.again} onPress={again} />
        <Button label={SHARES ? t.result.share : t.result.print} onPress={() => void share()} />
      </Row>
      <Text kind="small">
        {resultTexts(answer, t, language).author} · {new Date(answer.created_at).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" })} · {fill(t.result.id, { id: answer.id })}
      </Text>
    </Card>
  );
}

const box = StyleSheet.create({ columns: { gap: 16 }, wide: { flexDirection: "row" }, column: { gap: 16 }, half: { flex: 1 } });
